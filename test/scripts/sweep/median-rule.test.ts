import { describe, expect, test } from 'vitest';
import { isBelowMedian } from '../../../scripts/sweep/median-rule.ts';

const rule = { afterEpochs: 2, afterRuns: 3, keep: 'median' } as const;
/** Running averages after 2 epochs: 0.5, 0.6, 0.7; after 3 epochs, of the first two only: 0.6, 0.7. */
const others = [
  [0.4, 0.6, 0.8],
  [0.5, 0.7, 0.9],
  [0.6, 0.8],
];

describe('a run', () => {
  test("is below the median when its best is below that of the others' means so far", () => {
    expect(isBelowMedian([0.1, 0.59], others, rule)).toBe(true);
    expect(isBelowMedian([0.59, 0.1], others, rule)).toBe(true);
  });

  test('is not below when its best, at any epoch, is as high as the median', () => {
    expect(isBelowMedian([0.1, 0.6], others, rule)).toBe(false);
    expect(isBelowMedian([0.6, 0.1], others, rule)).toBe(false);
  });

  test('is compared with the means up to its own epoch, not with what came later', () => {
    const risen = [...others.map((curve) => [...curve, 0.99, 0.99, 0.99])];
    expect(isBelowMedian([0.1, 0.6], risen, rule)).toBe(false);
  });

  test('is compared with those that have come as far, and not at all with too few of them', () => {
    expect(isBelowMedian([0, 0, 0], others, rule)).toBe(false);
    expect(isBelowMedian([0, 0, 0.64], others, { ...rule, afterRuns: 2 })).toBe(true);
    expect(isBelowMedian([0, 0, 0.65], others, { ...rule, afterRuns: 2 })).toBe(false);
    expect(isBelowMedian([0, 0.1], [], { ...rule, afterRuns: 1 })).toBe(false);
  });

  test('is not judged before its time', () => {
    expect(isBelowMedian([0], others, rule)).toBe(false);
    expect(isBelowMedian([0, 0], others, { ...rule, afterEpochs: 3 })).toBe(false);
  });
});
