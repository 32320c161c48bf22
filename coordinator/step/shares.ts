/**
 * Shares: how many microbatches of a step each member computes. Equal ones; or by speed, so that unlike machines are done
 * at the same time: one that is half as fast gets half as many.
 */
import { wholeSubtrees } from '../../protocol/vectors/reduction.ts';
import { part } from '../../protocol/data/sharding.ts';
import type { Range } from '../../protocol/data/sharding.ts';
import type { Member } from '../members/member.ts';

/** What a member took for its share of a step. */
interface Answer {
  readonly member: Member;
  /** When the last part of the answer had arrived, by `performance.now()`. */
  readonly atMs: number;
  readonly computeMs: number;
  readonly numSamples: number;
}

/** A step that is done: how many microbatches it had, and which of them each member was given. */
interface DoneStep {
  readonly shares: ReadonlyMap<Member, Range>;
  readonly numMicrobatches: number;
}

export interface Shares {
  /** Microbatches of each member, in the members' order: together `numMicrobatches`. */
  divide(members: readonly Member[], numMicrobatches: number): readonly number[];
  /** Tells how long members took for a step that was opened at `openedMs`: what came in with which shares. */
  observe(step: DoneStep, answers: readonly Answer[], openedMs: number): void;
}

/** They differ by one at most. */
export const EQUAL_SHARES: Shares = {
  divide: (members, numMicrobatches) =>
    members.map((_, index) => part({ first: 0, count: numMicrobatches }, members.length, index).count),
  observe() {},
};

/** A member's cost is the median of its last answers, unknown until it has this many: a hiccup changes nothing. */
const ANSWERS_KEPT = 9;
/** Shares change where the step is expected to take at least this fraction less time: less would be following noise. */
const LEAST_GAIN = 0.1;

/**
 * By the engine's time for a sample, as members report it of themselves. A share that is no whole subtree of the reduction
 * costs more than its microbatches: a vector for each subtree in it has to be sent. That, too, is measured.
 */
export function createSpeedShares(): Shares {
  /** Milliseconds a sample, of each member's last answers; and beyond computing, for each vector that was sent. */
  const computing = new WeakMap<Member, number[]>();
  const sending: number[] = [];
  let last: { members: readonly Member[]; counts: readonly number[] } | undefined;
  /** A microbatch's, about. */
  let numSamples = 1;

  const costOf = (member: Member): number | undefined => {
    const costs = computing.get(member) ?? [];
    return costs.length < ANSWERS_KEPT ? undefined : numSamples * median(costs);
  };

  return {
    divide(members, numMicrobatches) {
      // All members were lost just now. The step waits until a worker joins.
      if (members.length === 0) return [];
      const known = members.map(costOf);
      const ordinary = median(known.filter((cost) => cost !== undefined));
      const costs = known.map((cost) => cost ?? ordinary);
      const sendMs = sending.length === 0 ? 0 : median(sending);
      const isLike = last?.members.length === members.length && last.members.every((one, i) => one === members[i]);
      const before = isLike && sum(last!.counts) === numMicrobatches ? last!.counts : undefined;
      const current = before ?? EQUAL_SHARES.divide(members, numMicrobatches);
      const best = divideByCost(costs, numMicrobatches);
      const counts = longest(best, costs, sendMs) < (1 - LEAST_GAIN) * longest(current, costs, sendMs) ? best : current;
      last = { members: [...members], counts };
      return counts;
    },
    observe({ shares, numMicrobatches }, answers, openedMs) {
      for (const { member, computeMs, numSamples: ofMember, atMs } of answers) {
        const share = shares.get(member);
        if (ofMember === 0 || !share) continue;
        numSamples = ofMember / share.count;
        const costs = computing.get(member) ?? [];
        computing.set(member, costs);
        keep(costs, computeMs / ofMember);
        const numVectors = wholeSubtrees(share, numMicrobatches).length;
        keep(sending, Math.max(0, atMs - openedMs - computeMs) / numVectors);
      }
    },
  };
}

function keep(values: number[], value: number): void {
  values.push(value);
  if (values.length > ANSWERS_KEPT) values.shift();
}

/**
 * Each microbatch in turn goes to the member that would be done with it first, so that the last one is done as early as
 * possible. Every member gets one if there are enough: a member without any would never be found to have become faster.
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

/** What the slowest needs for its share, of microbatches in a row. */
function longest(counts: readonly number[], costs: readonly number[], sendMs: number): number {
  const numMicrobatches = sum(counts);
  let first = 0;
  const times = counts.map((count, index) => {
    const numVectors = wholeSubtrees({ first, count }, numMicrobatches).length;
    first += count;
    return count * costs[index]! + numVectors * sendMs;
  });
  return Math.max(0, ...times);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** Of none: 1, for nothing is known. */
function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 1;
}
