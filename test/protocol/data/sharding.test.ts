import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { epochOrder } from '../../../protocol/data/random.ts';
import {
  globalBatchRange,
  microbatchesOf,
  microbatchRange,
  part,
  stepsPerEpoch,
} from '../../../protocol/data/sharding.ts';

describe('sharding', () => {
  test('gives every sample of an epoch to exactly one microbatch of one step, none empty', () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 700 }),
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 1, max: 90 }),
    );
    fc.assert(
      fc.property(sizes, ([numSamples, globalBatch, numMicrobatches]) => {
        const positions: number[] = [];
        for (let step = 0; step < stepsPerEpoch(numSamples, globalBatch); step++) {
          const batch = globalBatchRange(step, globalBatch, numSamples);
          const numParts = microbatchesOf(batch, numMicrobatches);
          for (let index = 0; index < numParts; index++) {
            const { first, count } = part(batch, numParts, index);
            expect(count).toBeGreaterThan(0);
            for (let i = 0; i < count; i++) positions.push(first + i);
          }
        }
        expect(positions).toEqual(Array.from({ length: numSamples }, (_, i) => i));
      }),
    );
  });

  test('cuts into parts that differ by one at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 1, max: 50 }), (count, numParts) => {
        const counts = Array.from({ length: numParts }, (_, i) => part({ first: 5, count }, numParts, i).count);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('leaves the last microbatches of a batch with too few samples empty', () => {
    const ranges = [0, 1, 2, 3].map((index) => microbatchRange({ first: 30, count: 2 }, 4, index));
    expect(ranges.map(({ count }) => count)).toEqual([1, 1, 0, 0]);
    expect(ranges.map(({ first }) => first)).toEqual([30, 31, 32, 32]);
  });

  test('keeps the ragged last batch', () => {
    expect(stepsPerEpoch(60000, 256)).toBe(235);
    expect(globalBatchRange(234, 256, 60000)).toEqual({ first: 59904, count: 96 });
  });
});

describe("an epoch's order", () => {
  test('is a permutation that depends on the seed and the epoch, and on nothing else', () => {
    const order = epochOrder(7, 1, 1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(epochOrder(7, 1, 1000)).toEqual(order);
    expect(epochOrder(7, 2, 1000)).not.toEqual(order);
    expect(epochOrder(8, 1, 1000)).not.toEqual(order);
  });

  test('is the same on every machine', () => {
    expect([...epochOrder(7, 1, 8)]).toEqual(GOLDEN_ORDER);
  });
});

const GOLDEN_ORDER = [2, 3, 6, 0, 7, 1, 4, 5];
