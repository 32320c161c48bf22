import { describe, expect, test } from 'vitest';
import { drawScale } from '../../../scripts/scale/picture.ts';
import { formatMarkdown, formatScale, formatScaleCsv } from '../../../scripts/scale/report.ts';
import type { ScaleRecord } from '../../../scripts/scale/record.ts';
import { summarise } from '../../../scripts/scale/summary.ts';
import { recordOf, runOf } from './measurement.ts';

const formatted = (record: ScaleRecord, width?: number) => formatScale(record, summarise(record)!, width);

describe('the result of a measurement', () => {
  test('fits a terminal of 100 characters with every column, and one of 40 with the most important', () => {
    const wide = formatted(recordOf());
    expect(wide.split('\n')[0]).toBe(
      'scaling  workers  samples/s  speed-up  efficiency  per core   step  model  sent a step  comm.',
    );
    expect(wide.split('\n')[2]).toMatch(/^strong {9}2 {5}17,067 {6}1\.33 {8}67 % {6}67 % {2}15 ms .* 4\.0 MB {3}25 %$/);
    const narrow = formatted(recordOf(), 40);
    expect(narrow.split('\n')[0]).toBe('scaling  workers  samples/s  efficiency');
    for (const [text, width] of [[wide, 100] as const, [narrow, 40] as const]) {
      expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(width);
    }
  });

  test('says that workers share cores, that parameters are equal, and what is predicted of twice as many workers', () => {
    const text = formatted(recordOf()).replaceAll(/\n +/g, ' ');
    expect(text).toContain('equal parameters after all 3 numbers of workers, sha256 abababababababab');
    expect(text).toContain('share 2 cores: more than 2 workers take turns, so 4 workers do at most the work of 2');
    expect(text).toMatch(
      /strong scaling, predicted: 8 workers on these cores train [\d,]+ samples\/s, efficiency \d+ %/,
    );
  });

  test('says why parameters differ', () => {
    const ring = runOf({ numWorkers: 4, globalBatch: 256, stepMs: 20, allReduce: 'ring', sum: 'cd'.repeat(32) });
    expect(formatted(recordOf({ runs: [...recordOf().runs.slice(0, 2), ring] }))).toContain(
      '2 different parameters: the bits of a ring depend on the number of workers',
    );
  });

  test('of hosts with cores that no other has speaks of no sharing', () => {
    const place = { description: '3 hosts', sharedCores: null, link: null, delaysPeers: true };
    const text = formatted(recordOf({ place }));
    expect(text).not.toContain('per core');
    expect(text).not.toContain('share');
  });

  test('is a CSV with a row for each point, and one for twice as many workers', () => {
    const lines = formatScaleCsv(summarise(recordOf())!).trimEnd().split('\n');
    expect(lines).toHaveLength(1 + 2 * 4);
    expect(lines[0]).toMatch(
      /^scaling,numWorkers,.*,sharedBytes,predictedStepMs,predictedSamplesPerSecond,predictedEfficiency$/,
    );
    expect(new Set(lines.map((line) => line.split(',').length)).size).toBe(1);
    expect(lines[4]).toMatch(/^strong,8,256,4,0,,,/);
  });

  test('is Markdown with the command and the machine', () => {
    const text = formatMarkdown(recordOf(), summarise(recordOf())!);
    expect(text).toMatch(
      /^`gradsock scale --model dense`: 2 x test; gradsock 0\.1\.0, Node v20\.20\.2, 2026-11-30\.\n\n\| scaling \|/,
    );
    expect(text.split('\n').filter((line) => line.startsWith('| ')).length).toBe(2 + 6);
  });

  test('is a picture with a line for what was measured and one for what the model says', () => {
    const svg = drawScale(recordOf(), summarise(recordOf())!);
    for (const text of ['strong, measured', 'weak, cost model', 'samples a second (thousands)', 'none lost']) {
      expect(svg).toContain(text);
    }
    // A mark for each of 6 points in 4 panels.
    expect(svg.match(/<circle [^>]*r="4"/g)).toHaveLength(24);
  });
});
