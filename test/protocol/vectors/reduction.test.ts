import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addVectors,
  createReducer,
  divideVector,
  planReduction,
  wholeSubtrees,
} from '../../../protocol/vectors/reduction.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import { part } from '../../../protocol/data/sharding.ts';

const symbolic = (left: string, right: string) => `(${left}+${right})`;

/** Reduces leaves "0", "1", ... as `numWorkers` would, their roots arriving in the order that `priorities` gives. */
function reduceAcross(numMicrobatches: number, numWorkers: number, priorities: number[]): string | undefined {
  const all = { first: 0, count: numMicrobatches };
  const arriving: { node: TreeNode; value: string }[] = [];
  for (let worker = 0; worker < numWorkers; worker++) {
    const share = part(all, numWorkers, worker);
    const reducer = createReducer<string>(numMicrobatches, wholeSubtrees(share, numMicrobatches), symbolic);
    for (let index = share.first; index < share.first + share.count; index++) {
      const root = reducer.add({ first: index, count: 1 }, String(index));
      if (root) arriving.push(root);
    }
  }
  const shuffled = arriving
    .map((root, i) => ({ root, priority: priorities[i % priorities.length]! }))
    .sort((a, b) => a.priority - b.priority);
  const reducer = createReducer<string>(numMicrobatches, [all], symbolic);
  const results = shuffled
    .map(({ root }) => reducer.add(root.node, root.value))
    .filter((result) => result !== undefined);
  expect(results.length).toBe(1);
  return results[0]!.value;
}

/** The sum over one node's leaves. */
function reduceAcrossFrom(first: number, count: number, numMicrobatches: number): string {
  const reducer = createReducer<string>(numMicrobatches, [{ first, count }], symbolic);
  const leaves = Array.from({ length: count }, (_, i) => first + i);
  return leaves.map((leaf) => reducer.add({ first: leaf, count: 1 }, String(leaf))).at(-1)!.value;
}

describe('the reduction tree', () => {
  test('splits at the largest power of two', () => {
    expect(reduceAcross(5, 1, [0])).toBe('(((0+1)+(2+3))+4)');
    expect(reduceAcross(7, 1, [0])).toBe('(((0+1)+(2+3))+((4+5)+6))');
    expect(reduceAcross(1, 1, [0])).toBe('0');
  });

  test('is the same whoever holds which leaves, and in whatever order their sums arrive', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.nat(), { minLength: 1 }),
        (numMicrobatches, numWorkers, priorities) => {
          expect(reduceAcross(numMicrobatches, numWorkers, priorities)).toBe(reduceAcross(numMicrobatches, 1, [0]));
        },
      ),
    );
  });

  test('has the same sums by a plan of its additions, in whatever order its parts come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.nat(), { minLength: 1 }),
        (numMicrobatches, numWorkers, priorities) => {
          const all = { first: 0, count: numMicrobatches };
          const nodes = Array.from({ length: numWorkers }, (_, i) =>
            wholeSubtrees(part(all, numWorkers, i), numMicrobatches),
          )
            .flat()
            .map((node, i) => ({ node, priority: priorities[i % priorities.length]! }))
            .sort((a, b) => a.priority - b.priority)
            .map(({ node }) => node);
          const { additions, root } = planReduction(numMicrobatches, nodes);
          const values: string[] = nodes.map(({ first, count }) => reduceAcrossFrom(first, count, numMicrobatches));
          let next = nodes.length;
          for (const [part, afterIt] of additions.entries()) {
            for (const [left, right] of afterIt) {
              // Only parts that have come by now, and sums of these.
              for (const side of [left, right])
                expect(side <= part || (side >= nodes.length && side < next)).toBe(true);
              values[next++] = symbolic(values[left]!, values[right]!);
            }
          }
          expect(values[root]).toBe(reduceAcross(numMicrobatches, 1, [0]));
        },
      ),
    );
  });

  test('cannot be planned from parts that do not make the whole', () => {
    expect(() => planReduction(4, [{ first: 0, count: 2 }])).toThrow('a tree of 1 part is not whole');
  });

  test('gives a worker that holds a run of leaves the fewest nodes, left to right', () => {
    expect(wholeSubtrees({ first: 0, count: 8 }, 8)).toEqual([{ first: 0, count: 8 }]);
    expect(wholeSubtrees({ first: 1, count: 6 }, 8)).toEqual([
      { first: 1, count: 1 },
      { first: 2, count: 2 },
      { first: 4, count: 2 },
      { first: 6, count: 1 },
    ]);
    expect(wholeSubtrees({ first: 3, count: 0 }, 8)).toEqual([]);
  });

  test('refuses a node that it does not have', () => {
    const reducer = createReducer<string>(4, [{ first: 0, count: 4 }], symbolic);
    expect(() => reducer.add({ first: 1, count: 2 }, 'x')).toThrow('internal: [1, +2)');
  });
});

describe('vectors', () => {
  test('are added and divided with float32 rounding', () => {
    const sum = new Float32Array(3);
    addVectors(sum, Float32Array.of(1, 2 ** 24, 0.1), Float32Array.of(2, 1, 0.2));
    expect([...sum]).toEqual([3, 2 ** 24, Math.fround(Math.fround(0.1) + Math.fround(0.2))]);
    expect(divideVector(sum, sum, 3)).toBe(true);
    expect([...sum]).toEqual([
      1,
      Math.fround(2 ** 24 / 3),
      Math.fround(Math.fround(Math.fround(0.1) + Math.fround(0.2)) / 3),
    ]);
  });

  test.each([NaN, Infinity, -Infinity])('with an entry of %d are told apart from finite ones', (value) => {
    expect(divideVector(new Float32Array(3), Float32Array.of(1, value, 1), 2)).toBe(false);
  });

  test('of unequal lengths are an internal error', () => {
    expect(() => addVectors(new Float32Array(2), new Float32Array(2), new Float32Array(3))).toThrow('internal:');
  });
});
