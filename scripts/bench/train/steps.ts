/** The steps of a run, one at a time: the inner loop of `coordinator/trainer.ts` without its records. */
import { createStar } from '../../../coordinator/all-reduce/star/star.ts';
import type { Fleet } from '../../../coordinator/members/fleet.ts';
import type { RunConfig } from '../../../coordinator/run-config.ts';
import { planStep } from '../../../coordinator/step/step-plan.ts';
import { updateRates } from '../../../protocol/vectors/optimizer.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import { learningRateAt } from '../../../protocol/state/schedule.ts';
import type { VectorMath } from '../../../protocol/vectors/vector-math.ts';
import type { PayloadAllocator } from '../../../protocol/wire/shared-memory.ts';

export interface StepsContext {
  readonly config: RunConfig;
  readonly numTrainSamples: number;
  readonly fleet: Fleet;
  /** The coordinator's own; trained in place. */
  readonly replica: Replica;
  readonly vectorMath: VectorMath;
  readonly allocateAverage: PayloadAllocator;
}

/**
 * Composes the all-reduce and opens the first step. Each call of the returned function ends a step and opens the next
 * one, through the ends of epochs too; it resolves with the mean loss of the step's batch.
 */
export function openSteps(context: StepsContext) {
  const { config, numTrainSamples, fleet, replica, vectorMath, allocateAverage } = context;
  const { globalBatch, microbatches, optimizer, schedule, stepTimeoutSeconds, wire } = config;
  const ratesAt = (step: number, epoch: number) =>
    updateRates(optimizer, learningRateAt(schedule, { step, epoch, totalSteps: Infinity }), step);
  const sizes = { globalBatch, microbatches, numTrainSamples, ratesAt };
  const options = { stepTimeoutMs: stepTimeoutSeconds * 1000, wire, allocateAverage };
  const allReduce = createStar(fleet, replica, options, vectorMath);
  const { members } = fleet;
  let plan = planStep(replica.step + 1, members, sizes);
  allReduce.open(plan);

  return async (): Promise<number> => {
    const { totals, isFinite } = await allReduce.collect(plan);
    const { step } = plan;
    if (!isFinite) throw new Error(`step ${step}: the averaged gradient is not finite: this is no training`);

    const next = planStep(step + 1, members, sizes);
    allReduce.distribute(plan, next);
    allReduce.apply(plan);
    plan = next;
    return totals.lossSum / totals.numSamples;
  };
}
