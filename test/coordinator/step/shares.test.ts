import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Member } from '../../../coordinator/members/member.ts';
import { createSpeedShares, divideByCost, EQUAL_SHARES } from '../../../coordinator/step/shares.ts';
import type { Shares } from '../../../coordinator/step/shares.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';

const member = (id: string): Member => {
  return { id, name: id, engine: 'native', device: 'cpu', threads: 1, transport: memoryTransportPair()[0] };
};
const [a, b, c] = [member('a'), member('b'), member('c')];

/** Reports `times` steps: each member took its cost in milliseconds a sample, and `sendMs` for each vector it sent. */
function observe(shares: Shares, costs: readonly (readonly [Member, number])[], { times = 9, sendMs = 0 } = {}): void {
  const members = costs.map(([one]) => one);
  const plan = {
    shares: new Map(members.map((one, i) => [one, { first: 2 * i, count: 2 }])),
    numMicrobatches: 2 * members.length,
  };
  for (let i = 0; i < times; i++) {
    const arrivals = costs.map(([one, cost]) => {
      return { member: one, atMs: 20 * cost + sendMs, numSamples: 20, computeMs: 20 * cost, encodeMs: 0, applyMs: 0 };
    });
    shares.observe(plan, arrivals, 0);
  }
}

describe('shares by speed', () => {
  test('of no members are none: all are lost just now', () => {
    const shares = createSpeedShares();
    expect(shares.divide([], 4)).toEqual([]);
    expect(shares.divide([a, b], 4)).toEqual([2, 2]);
    expect(shares.divide([], 4)).toEqual([]);
  });

  test('are equal as long as nothing is known, and as long as speeds are about equal', () => {
    const shares = createSpeedShares();
    expect(shares.divide([a, b, c], 8)).toEqual(EQUAL_SHARES.divide([a, b, c], 8));
    expect(shares.divide([a, b, c], 8)).toEqual([2, 3, 3]);
    observe(shares, [[a, 1], [b, 1.05], [c, 0.97]]); // prettier-ignore
    expect(shares.divide([a, b, c], 8)).toEqual([2, 3, 3]);
  });

  test('give one that is half as fast half of the work', () => {
    const shares = createSpeedShares();
    observe(shares, [[a, 1], [b, 2]]); // prettier-ignore
    expect(shares.divide([a, b], 6)).toEqual([4, 2]);
    expect(shares.divide([b, a], 6)).toEqual([2, 4]);
  });

  test('stay equal where the vectors of unequal ones would take longer to send than is won', () => {
    // 6 and 2 microbatches, instead of 4 and 4: two vectors from the first member instead of one.
    const speeds = [[a, 1], [b, 3]] as const; // prettier-ignore
    const shares = createSpeedShares();
    observe(shares, speeds, { sendMs: 1000 });
    expect(shares.divide([a, b], 8)).toEqual([4, 4]);
    const quick = createSpeedShares();
    observe(quick, speeds, { sendMs: 1 });
    expect(quick.divide([a, b], 8)).toEqual([6, 2]);
  });

  test('follow a member that changes, not one hiccup of it', () => {
    const shares = createSpeedShares();
    const evenly = [[a, 1], [b, 1]] as const; // prettier-ignore
    observe(shares, evenly);
    observe(shares, [[a, 1], [b, 50]], { times: 1 }); // prettier-ignore
    expect(shares.divide([a, b], 8)).toEqual([4, 4]);
    observe(shares, [[a, 1], [b, 3]]); // prettier-ignore
    expect(shares.divide([a, b], 8)).toEqual([6, 2]);
    observe(shares, evenly);
    expect(shares.divide([a, b], 8)).toEqual([4, 4]);
  });

  test('take a member that nothing is known of for an ordinary one', () => {
    const shares = createSpeedShares();
    observe(shares, [[a, 5], [b, 5]]); // prettier-ignore
    expect(shares.divide([a, b, c], 9)).toEqual([3, 3, 3]);
  });

  test('leave nobody without work who could have some', () => {
    expect(divideByCost([1, 1000], 8)).toEqual([7, 1]);
    expect(divideByCost([1, 1, 1], 2)).toEqual([1, 1, 0]);
    expect(divideByCost([], 0)).toEqual([]);
  });

  test('end as early as any shares do in which everyone has some', () => {
    const costs = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(costs, fc.integer({ min: 3, max: 9 }), (all, numMicrobatches) => {
        const longest = (counts: readonly number[]) => Math.max(...counts.map((count, i) => count * all[i]!));
        const counts = divideByCost(all, numMicrobatches);
        expect(counts.reduce((x, y) => x + y)).toBe(numMicrobatches);
        const every = (left: number, n: number): number[][] =>
          n === 1
            ? [[left]]
            : Array.from({ length: left - n + 1 }, (_, i) =>
                every(left - 1 - i, n - 1).map((rest) => [i + 1, ...rest]),
              ).flat();
        const best = Math.min(...every(numMicrobatches, all.length).map(longest));
        expect(longest(counts)).toBeCloseTo(best, 9);
      }),
    );
  });
});
