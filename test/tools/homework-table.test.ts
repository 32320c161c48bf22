import { describe, expect, test } from 'vitest';
import { drawHomeworkCurves } from '../../scripts/bench/homework/curves.ts';
import { meanBreakdown, readRuns, writeRuns } from '../../scripts/bench/homework/records.ts';
import type { BreakdownSeconds, HomeworkEpoch, RunRecord, Series } from '../../scripts/bench/homework/records.ts';
import { formatHomeworkTable, formatTimeTable, homeworkRow } from '../../scripts/bench/homework/table.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const epochs = (...tests: number[]): HomeworkEpoch[] =>
  tests.map((accuracy, i) => [i + 1, 0.5 - i / 10, accuracy - 0.01, accuracy, 2 + i]);

const breakdown = (computeSeconds: number): BreakdownSeconds => ({
  ...{ computeSeconds, applySeconds: 0.01, encodeSeconds: 0.1, wireSeconds: 0.2, reduceSeconds: 0.05 },
  ...{ waitSeconds: 0.3, otherSeconds: 0.04 },
});

/** A table's lines, however wide its columns. */
const linesOf = (table: string): string[] => table.replaceAll(/ +/g, ' ').split('\n');

const theirs = homeworkRow('dense', epochs(0.8, 0.9));
const ours = {
  model: 'dense',
  run: '`--recipe best`, baseline',
  runs: [
    { epochs: epochs(0.85, 0.91), seconds: 7 },
    { epochs: epochs(0.87, 0.92), seconds: 8 },
  ],
};

describe('the table of the homework', () => {
  test('has the last epoch, means over the seeds and their range', () => {
    const [, , first, second] = linesOf(formatHomeworkTable([theirs, ours]));
    expect(first).toBe('| `dense` | homework, one GPU | 1 | 0.4000 | 0.8900 | 0.9000 | - | 2.50 | 5 s |');
    expect(second).toBe(
      '| `dense` | `--recipe best`, baseline | 2 | 0.4000 | 0.9050 | 0.9150 | 0.9100 to 0.9200 | 2.50 | 8 s |',
    );
  });

  test('of times has the means of the rows that know where theirs went', () => {
    const runs = [1, 2].map((compute) => ({ epochs: epochs(0.9), seconds: 7, breakdown: breakdown(compute) }));
    const lines = linesOf(formatTimeTable([theirs, { ...ours, runs }]));
    expect(lines.slice(2)).toEqual([
      '| `dense` | `--recipe best`, baseline | 2.200 | 1.500 | 0.010 | 0.350 | 0.300 | 0.040 |',
    ]);
  });

  test('is drawn with a panel for each model and a name for each row', () => {
    const svg = drawHomeworkCurves([theirs, ours, { ...ours, model: 'conv' }]);
    expect(svg.match(/>homework, one GPU</g)).toHaveLength(1);
    expect(svg.match(/>--recipe best, baseline</g)).toHaveLength(2);
    expect(svg).toContain('>conv<');
  });
});

describe('the records of the homework', () => {
  const series: Series = { recipe: 'best', model: 'dense', mode: 'two workers' };
  const run = (seed: number, settings: string): RunRecord => ({
    ...{ seed, settings, seconds: 3, epochs: epochs(0.9), engine: 'native', date: '2026-01-01', hardware: 'two cores' },
    ...{ node: 'v20', gradsock: '0.1.0', parametersSha256: 'ab', breakdown: breakdown(1) },
  });

  test('have the mean of each part over the epochs', () => {
    const ofEpoch = (computePartSeconds: number) => ({
      ...{ computePartSeconds, applyPartSeconds: 0.01, encodePartSeconds: 0.1, wirePartSeconds: 0.2 },
      ...{ reducePartSeconds: 0.05, waitPartSeconds: 0.3, otherPartSeconds: 0.04 },
    });
    expect(meanBreakdown([1, 2].map(ofEpoch))).toEqual(breakdown(1.5));
  });

  test('are read again in the order of seeds', async () => {
    const folder = temporaryFolder();
    expect(readRuns(folder, series, 'now')).toEqual([]);
    await writeRuns(folder, series, [run(3, 'now'), run(1, 'now')]);
    expect(readRuns(folder, series, 'now').map(({ seed }) => seed)).toEqual([1, 3]);
    expect(readRuns(folder, { ...series, mode: 'baseline' }, 'now')).toEqual([]);
  });

  test('of other values of the recipe do not count', async () => {
    const folder = temporaryFolder();
    await writeRuns(folder, series, [run(1, 'before')]);
    expect(readRuns(folder, series, 'now')).toEqual([]);
  });
});
