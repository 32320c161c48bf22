import { describe, expect, test } from 'vitest';
import { checkPlan, doublings, pointsOf } from '../../../scripts/scale/plan.ts';
import { recordOf } from './measurement.ts';

const { plan } = recordOf();

describe('a plan', () => {
  test('has the same batch for any number of workers in strong scaling, and one that grows with them in weak scaling', () => {
    expect(pointsOf(plan, 60_000).map(({ scaling, globalBatch }) => [scaling, globalBatch])).toEqual([
      ...[256, 256, 256].map((batch) => ['strong', batch]),
      ...[256, 512, 1024].map((batch) => ['weak', batch]),
    ]);
  });

  test('has shorter epochs where the data has no more samples', () => {
    expect(pointsOf({ ...plan, steps: 40 }, 10_240).map(({ stepsPerEpoch }) => stepsPerEpoch)).toEqual([
      ...[40, 40, 40, 40, 20, 10],
    ]);
  });

  test.each([
    [{ microbatches: 3 }, '--microbatches 3 cannot feed 4 workers: use 4 or more, or fewer --workers-list'],
    [{ globalBatch: 3 }, '--global-batch 3 cannot feed 4 microbatches: use 4 or more'],
    [{ epochs: 1 }, '--epochs 1: the first epoch warms up: use 2 or more'],
    [{ steps: 2 }, '--steps 2: expected 3 or more'],
    [
      { globalBatch: 30_000, scalings: ['strong'] as const },
      /has 30000 samples a step.* allow 2 times.*use 20000 or less$/,
    ],
    [{ globalBatch: 10_000 }, /weak scaling with 4 workers has 40000 samples.* allow 1 time.*use 5000 or less$/],
  ])('with %o is refused, with the cure', (change, message) => {
    expect(() => checkPlan({ ...plan, ...change }, 60_000)).toThrow(message);
  });
});

test('the default numbers of workers double up to the most', () => {
  expect([1, 2, 3, 8, 12].map(doublings)).toEqual([[1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 12]]);
});
