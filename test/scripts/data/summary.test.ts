/** What `data info` says: all classes where they can be looked through, else those that stand out. */
import { expect, test } from 'vitest';
import { labelsOnSheet } from '../../../scripts/data/sheet.ts';
import { describeSummary, summarise } from '../../../scripts/data/summary.ts';
import { toCanonical } from '../../../protocol/data/canonical.ts';
import { makeData } from '../../helpers/data-files.ts';

async function linesFor(numClasses: number, numTrain: number, nameOf?: (label: number) => string) {
  const made = makeData([1, 2, 2], numClasses, [numTrain, numClasses]);
  const classes = nameOf ? made.classes.map((_, label) => nameOf(label)) : made.classes;
  const validation = { ...made.test, numSamples: numClasses };
  return describeSummary(summarise('mine', await toCanonical({ ...made, classes, validation })));
}

test('up to 60 classes have a line each', async () => {
  const lines = await linesFor(60, 120);
  expect(lines[7]).toBe('  label  class          train      val     test');
  expect(lines.slice(8)).toHaveLength(60);
  expect(lines.at(-1)).toBe('     59  class-00059        2        1        1');
});

test('of 300 classes the ten with the most and the ten with the fewest samples are listed', async () => {
  // The first 50 of them have a sample more.
  const lines = await linesFor(300, 950);
  expect(lines[6]).toBe('  classes    300, each with 3 to 4 training samples, median 3');
  expect(lines[8]).toBe('classes with the most and the fewest training samples (--json prints all)');
  expect(lines[10]).toBe('      0  class-00000        4        1        1');
  expect(lines[19]).toBe('      9  class-00009        4        1        1');
  expect(lines[20]).toBe('    ...');
  expect(lines.slice(21)).toHaveLength(10);
  expect(lines.at(-1)).toBe('    299  class-00299        3        1        1');
});

test('long names are cut: a line has at most 80 characters', async () => {
  for (const numClasses of [3, 300]) {
    const lines = await linesFor(numClasses, numClasses, (label) => `${label} ${'long '.repeat(20)}`);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.at(-1)).toMatch(/long .*\.\.\. {2}/);
  }
});

test('a sheet has a row for each class, or for 60 of them that lie evenly apart', () => {
  expect(labelsOnSheet(60)).toEqual([...Array(60).keys()]);
  expect(labelsOnSheet(300).slice(0, 3)).toEqual([0, 5, 10]);
  expect(labelsOnSheet(65_536)).toHaveLength(60);
  expect(labelsOnSheet(65_536).at(-1)).toBe(64_443);
});
