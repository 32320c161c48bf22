import { expect, test } from 'vitest';
import type { TrialRecord } from '../../../scripts/sweep/directory.ts';
import { rankSettings, tableOf } from '../../../scripts/sweep/ranking.ts';

const trialsOf = (numSettings: number, numSeeds: number) =>
  Array.from({ length: numSettings * numSeeds }, (_, i) => {
    return { number: i + 1, setting: Math.floor(i / numSeeds) + 1, varied: {}, flags: {}, epochs: 3 };
  });
const recordsOf = (...records: (Partial<TrialRecord> & { flags: TrialRecord['flags'] })[]) =>
  new Map(
    records.map((record, i): [number, TrialRecord] => {
      const base = { trial: i + 1, status: 'completed', isFinal: true, epochs: 3, seconds: 1 } as const;
      return [i + 1, { ...base, last: 0.5, best: 0.6, bestEpoch: 2, ...record }];
    }),
  );

test('settings are ranked by the mean of their last epochs, not of their best', () => {
  const records = recordsOf(
    { flags: { momentum: 0 }, last: 0.6, best: 0.99 },
    { flags: { momentum: 0 }, last: 0.7, best: 0.99 },
    { flags: { momentum: 0.9 }, last: 0.5, best: 0.7, bestEpoch: 1 },
    { flags: { momentum: 0.9 }, last: 0.9, best: 0.9, bestEpoch: 3, seconds: 2 },
  );
  const [first, second] = rankSettings({ trials: trialsOf(2, 2) }, records);
  expect(first).toMatchObject({ varied: { momentum: 0.9 }, trials: [3, 4], last: 0.7, seconds: 3, bestEpochs: [1, 3] });
  expect(second!.last).toBeCloseTo(0.65, 9);
});

test('what was stopped comes after all that completed, and what failed is last, without a value', () => {
  const records = recordsOf(
    { flags: { momentum: 0 }, status: 'failed', epochs: 0, last: null, best: null, bestEpoch: null },
    { flags: { momentum: 0.1 }, status: 'stopped', last: 0.9 },
    { flags: { momentum: 0.2 }, last: 0.1 },
  );
  const ranked = rankSettings({ trials: trialsOf(3, 1) }, records);
  expect(ranked.map(({ status }) => status)).toEqual(['completed', 'stopped', 'failed']);
  expect(tableOf({ variedNames: ['momentum'], objective: 'testAccuracy' }, ranked)).toBe(
    `| status    | rank | testAccuracy |   best | at epoch | momentum | epochs | seconds | trial |
| --------- | ---: | -----------: | -----: | -------: | -------: | -----: | ------: | ----: |
| completed |    1 |       0.1000 | 0.6000 |        2 |      0.2 |      3 |     1.0 |     3 |
| stopped   |    2 |       0.9000 | 0.6000 |        2 |      0.1 |      3 |     1.0 |     2 |
| failed    |    3 |            - |      - |        - |        0 |      0 |     1.0 |     1 |
`,
  );
});

test('a setting is as bad as the worst of its trials; with seeds the table has their spread', () => {
  const records = recordsOf(
    { flags: { momentum: 0 }, last: 0.5 },
    { flags: { momentum: 0 }, status: 'stopped', last: 0.4, epochs: 2 },
  );
  const ranked = rankSettings({ trials: trialsOf(1, 2) }, records);
  expect(ranked).toMatchObject([{ status: 'stopped', trials: [1, 2] }]);
  const row = tableOf({ variedNames: ['momentum'], objective: 'testAccuracy' }, ranked).split('\n')[2];
  expect(row).toMatch(
    /^\| stopped \| +1 \| +0\.4500 \| +0\.1000 \| +0\.6000 \| +2, 2 \| +0 \| +3, 2 \| +2\.0 \| +1, 2 \|$/,
  );
});
