/**
 * StepPlan: where a step stands in the run, and which worker computes which of its microbatches. With local steps a plan
 * is of a round: the steps that are taken between two averages.
 */
import type { UpdateRates } from '../../protocol/vectors/optimizer.ts';
import { globalBatchRange, microbatchesOf, microbatchRange, stepsPerEpoch } from '../../protocol/data/sharding.ts';
import type { Range } from '../../protocol/data/sharding.ts';
import type { Assignment } from '../../protocol/wire/messages.ts';
import type { Member } from '../members/member.ts';
import { EQUAL_SHARES } from './shares.ts';
import type { Shares } from './shares.ts';

export interface StepPlan {
  /** Number of the (first) step in the run, and of the epoch, from 1; of the step in its epoch, from 0. */
  readonly step: number;
  readonly epoch: number;
  readonly stepInEpoch: number;
  /** 1, or the steps of the round: fewer than `localSteps` at the end of an epoch and of the run. */
  readonly numSteps: number;
  /** The global batch of each step, as runs of the epoch's order; and their samples together. */
  readonly batches: readonly Range[];
  readonly numSamples: number;
  readonly numMicrobatches: number;
  /** The (first) step's. */
  readonly rates: UpdateRates;
  /** With local steps: each step's. */
  readonly localRates?: readonly UpdateRates[];
  /** Microbatches of each member; a member without any has no entry. */
  readonly shares: ReadonlyMap<Member, Range>;
  /** Whether the step is computed once more, because its average was not finite. */
  readonly isRepeat?: true;
}

export interface Sizes {
  readonly globalBatch: number;
  readonly microbatches: number;
  readonly numTrainSamples: number;
  /** Steps between averages. Default: 1. */
  readonly localSteps?: number;
  /** The run's last step, which a round may not go beyond. */
  readonly lastStep?: number;
  /** The rates of a step, by its number in the run and its epoch's. */
  readonly ratesAt: (step: number, epoch: number) => UpdateRates;
  /** How microbatches are shared out. Default: equally. */
  readonly sharedBy?: Pick<Shares, 'divide'>;
}

/** The plan that begins with step number `step`: microbatches in order, one run for each of the members in order. */
export function planStep(step: number, members: readonly Member[], sizes: Sizes): StepPlan {
  const { globalBatch, microbatches, numTrainSamples, localSteps = 1, lastStep = Infinity, ratesAt } = sizes;
  const { sharedBy = EQUAL_SHARES } = sizes;
  const perEpoch = stepsPerEpoch(numTrainSamples, globalBatch);
  const stepInEpoch = (step - 1) % perEpoch;
  const epoch = Math.floor((step - 1) / perEpoch) + 1;
  const numSteps = Math.min(localSteps, perEpoch - stepInEpoch, lastStep - step + 1);
  const ofEachStep = <T>(value: (i: number) => T): T[] => Array.from({ length: numSteps }, (_, i) => value(i));
  const batches = ofEachStep((i) => globalBatchRange(stepInEpoch + i, globalBatch, numTrainSamples));
  // Only an epoch's last batch may be short, so the first one has all microbatches that there are.
  const numMicrobatches = microbatchesOf(batches[0]!, microbatches);
  return {
    step,
    epoch,
    stepInEpoch,
    numSteps,
    batches,
    numSamples: batches.reduce((sum, { count }) => sum + count, 0),
    numMicrobatches,
    rates: ratesAt(step, epoch),
    ...(localSteps > 1 && { localRates: ofEachStep((i) => ratesAt(step + i, epoch)) }),
    shares: shareOut(members, sharedBy.divide(members, numMicrobatches)),
  };
}

/** The plan for a step that is computed once more: each share by the next member, where those that had them are still there. */
export function planRepeat(plan: StepPlan, members: readonly Member[]): StepPlan {
  const before = [...plan.shares.keys()];
  const areThere = before.every((member) => members.includes(member));
  const shares = areThere
    ? new Map([...plan.shares.values()].map((share, i) => [before[(i + 1) % before.length]!, share]))
    : shareOut(members, EQUAL_SHARES.divide(members, plan.numMicrobatches));
  return { ...plan, shares, isRepeat: true };
}

function shareOut(members: readonly Member[], counts: readonly number[]): Map<Member, Range> {
  const shares = new Map<Member, Range>();
  let first = 0;
  for (const [index, member] of members.entries()) {
    const count = counts[index]!;
    if (count > 0) shares.set(member, { first, count });
    first += count;
  }
  return shares;
}

/** Samples that microbatch `index` holds in all batches of the plan. */
export function samplesOf({ batches, numMicrobatches }: StepPlan, index: number): number {
  return batches.reduce((sum, batch) => sum + microbatchRange(batch, numMicrobatches, index).count, 0);
}

/** What a member is told of its share; undefined when it has none. */
export function assignmentOf(plan: StepPlan, member: Member): Omit<Assignment, 'numBuckets'> | undefined {
  const share = plan.shares.get(member);
  return share && assignmentOfRange(plan, share);
}

/** What a member that computes these microbatches is told. */
export function assignmentOfRange(plan: StepPlan, { first, count }: Range): Omit<Assignment, 'numBuckets'> {
  const { step, epoch, stepInEpoch, localRates, isRepeat } = plan;
  const range = { firstMicrobatch: first, numMicrobatches: count };
  const rates = localRates && { localRates: [...localRates] };
  return { step, epoch, stepInEpoch, ...range, ...rates, ...(isRepeat && { isRepeat }) };
}
