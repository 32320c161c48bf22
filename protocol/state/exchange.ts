/**
 * Exchange: what a step's contributions are vectors of, what their sum is divided by, and what their average does to a
 * replica. An all-reduce adds and carries vectors, and asks the run's exchange for the rest.
 *
 *     gradients  [gradient | statistics x samples], divided by samples; the optimizer applies the average
 *     states     [parameters, optimizer state, average parameters | buffers, average buffers], without the averages where
 *                a run keeps none, each the change that local steps made, divided by microbatches; the average is added
 */
import type { VectorLayout } from '../vectors/layout.ts';
import type { UpdateRates } from '../vectors/optimizer.ts';
import type { Replica } from './replica.ts';

/** Where an average belongs: `step` is the first of `numSteps`, `rates` are that step's. */
export interface AveragedSteps {
  readonly step: number;
  readonly numSteps: number;
  readonly rates: UpdateRates;
}

export interface Exchange {
  readonly layout: VectorLayout;
  /** What the sum over a step's microbatches is divided by, given its samples. */
  divisorOf(numSamples: number): number;
  /** Brings the replica to the last of the steps. Reads the average, as long as the layout says; does not keep it. */
  apply(average: Float32Array<ArrayBuffer>, steps: AveragedSteps): void;
}

/** The exchange of a run, for one of its replicas; `numMicrobatches` is what a whole global batch is cut into. */
export function createExchange(replica: Replica, localSteps: number, numMicrobatches: number): Exchange {
  return localSteps > 1 ? createStateExchange(replica, numMicrobatches) : createGradientExchange(replica);
}

/** Every step is averaged: the layout is the plan's. */
export function createGradientExchange(replica: Replica): Exchange {
  return {
    layout: replica.plan,
    divisorOf: (numSamples) => numSamples,
    apply: (average, { step, rates }) => replica.applyUpdate(average, rates, step),
  };
}

/** A microbatch that had no samples in a round weighs like any other: it would have left the state as it was. */
function createStateExchange(replica: Replica, numMicrobatches: number): Exchange {
  // A variance that rounding took below 0 would have no root: those that are averages are not encoded, either.
  const numBuffers = replica.plan.numBuffers * (replica.averages ? 2 : 1);
  return {
    layout: { numParameters: replica.state.length - numBuffers, numBuffers },
    divisorOf: () => numMicrobatches,
    apply: (average, { step, numSteps }) => replica.applyDelta(average, step, numSteps),
  };
}
