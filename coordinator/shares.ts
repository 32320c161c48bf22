/**
 * Shares: how many microbatches of a step each member computes. Equal ones; or by speed, so that unlike machines are done
 * at the same time: one that is half as fast gets half as many.
 */
import { part } from '../protocol/state/sharding.ts';
import type { Arrival } from './all-reduce/all-reduce.ts';
import type { Member } from './membership.ts';

export const SHARES = ['auto', 'equal', 'speed'] as const;
export type SharesChoice = (typeof SHARES)[number];

export interface Shares {
  /** Microbatches of each member, in the members' order: together `numMicrobatches`. */
  divide(members: readonly Member[], numMicrobatches: number): readonly number[];
  /** Tells how long members took for a step. */
  observe(arrivals: readonly Arrival[]): void;
}

/** They differ by one at most. */
export const EQUAL_SHARES: Shares = {
  divide: (members, numMicrobatches) =>
    members.map((_, index) => part({ first: 0, count: numMicrobatches }, members.length, index).count),
  observe() {},
};

/** A member's speed is the median over so many of its answers: a hiccup changes nothing. */
const ANSWERS_KEPT = 9;
/** Before it has given so many, it counts as one of ordinary speed. */
const ANSWERS_TO_LEARN = 3;
/** Shares change where the step is expected to take so much less time: others' noise is not worth following. */
const LEAST_GAIN = 0.1;

/** By the engine's time for a sample, as members report it of themselves. */
export function createSpeedShares(): Shares {
  /** Milliseconds a sample, of each member's last answers. */
  const seen = new WeakMap<Member, number[]>();
  let last: { members: readonly Member[]; counts: readonly number[] } | undefined;

  const costOf = (member: Member): number | undefined => {
    const costs = seen.get(member) ?? [];
    return costs.length < ANSWERS_TO_LEARN ? undefined : median(costs);
  };

  return {
    divide(members, numMicrobatches) {
      const known = members.map(costOf);
      const ordinary = median(known.filter((cost) => cost !== undefined));
      const costs = known.map((cost) => cost ?? ordinary);
      const isLike = last?.members.length === members.length && last.members.every((one, i) => one === members[i]);
      const before = isLike && sum(last!.counts) === numMicrobatches ? last!.counts : undefined;
      const current = before ?? EQUAL_SHARES.divide(members, numMicrobatches);
      const best = divideByCost(costs, numMicrobatches);
      const counts = longest(best, costs) < (1 - LEAST_GAIN) * longest(current, costs) ? best : current;
      last = { members: [...members], counts };
      return counts;
    },
    observe(arrivals) {
      for (const { member, computeMs, numSamples } of arrivals) {
        if (numSamples === 0) continue;
        const costs = seen.get(member) ?? [];
        costs.push(computeMs / numSamples);
        if (costs.length > ANSWERS_KEPT) costs.shift();
        seen.set(member, costs);
      }
    },
  };
}

/**
 * One microbatch after the other goes to whoever would be done with it first, so that the last one is done as early as can
 * be. Everyone gets one if there are enough: whoever has none would never be found to have become faster.
 */
export function divideByCost(costs: readonly number[], numMicrobatches: number): number[] {
  const counts = costs.map((_, index) => (index < numMicrobatches ? 1 : 0));
  for (let left = numMicrobatches - sum(counts); left > 0; left--) {
    const finish = (index: number) => (counts[index]! + 1) * costs[index]!;
    let first = 0;
    for (let index = 1; index < costs.length; index++) if (finish(index) < finish(first)) first = index;
    counts[first]!++;
  }
  return counts;
}

/** What the slowest needs for its share. */
const longest = (counts: readonly number[], costs: readonly number[]): number =>
  Math.max(0, ...counts.map((count, index) => count * costs[index]!));

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** Of none: 1, for nothing is known. */
function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 1;
}
