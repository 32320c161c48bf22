/** StepPlan: where a step stands in the run, and which worker computes which of its microbatches. */
import type { UpdateRates } from '../protocol/state/optimizer.ts';
import { globalBatchRange, microbatchesOf, part, stepsPerEpoch } from '../protocol/state/sharding.ts';
import type { Range } from '../protocol/state/sharding.ts';
import type { Assignment } from '../protocol/wire/messages.ts';
import type { Member } from './membership.ts';

export interface StepPlan {
  /** Number of the step in the run, and of the epoch, from 1; of the step in its epoch, from 0. */
  readonly step: number;
  readonly epoch: number;
  readonly stepInEpoch: number;
  readonly numSamples: number;
  readonly numMicrobatches: number;
  /** At which the step's average is applied. */
  readonly rates: UpdateRates;
  /** Microbatches of each member; a member without any has no entry. */
  readonly shares: ReadonlyMap<Member, Range>;
}

export interface Sizes {
  readonly globalBatch: number;
  readonly microbatches: number;
  readonly numTrainSamples: number;
  /** The rates of a step, by its number in the run and its epoch's. */
  readonly ratesAt: (step: number, epoch: number) => UpdateRates;
}

/** The plan of step number `step`: microbatches in order, in equal runs, over the members in order. */
export function planStep(step: number, members: readonly Member[], sizes: Sizes): StepPlan {
  const { globalBatch, microbatches, numTrainSamples, ratesAt } = sizes;
  const perEpoch = stepsPerEpoch(numTrainSamples, globalBatch);
  const stepInEpoch = (step - 1) % perEpoch;
  const epoch = Math.floor((step - 1) / perEpoch) + 1;
  const batch = globalBatchRange(stepInEpoch, globalBatch, numTrainSamples);
  const numMicrobatches = microbatchesOf(batch, microbatches);
  const all = { first: 0, count: numMicrobatches };
  const shares = members
    .map((member, index) => [member, part(all, members.length, index)] as const)
    .filter(([, share]) => share.count > 0);
  return {
    step,
    epoch,
    stepInEpoch,
    numSamples: batch.count,
    numMicrobatches,
    rates: ratesAt(step, epoch),
    shares: new Map(shares),
  };
}

/** What a member is told of its share; undefined when it has none. */
export function assignmentOf(plan: StepPlan, member: Member): Omit<Assignment, 'numBuckets'> | undefined {
  const share = plan.shares.get(member);
  if (!share) return undefined;
  const { step, epoch, stepInEpoch } = plan;
  return { step, epoch, stepInEpoch, firstMicrobatch: share.first, numMicrobatches: share.count };
}
