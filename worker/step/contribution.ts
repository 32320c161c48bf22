/**
 * Contribution: what a microbatch adds to its step. Here it is a gradient; with local steps it is what
 * `local-steps.ts` makes. Code that adds contributions up, for a star or for a ring, treats both alike.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import { describeNonFinite } from '../../protocol/state/non-finite.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { globalBatchRange, microbatchesOf } from '../../protocol/data/sharding.ts';
import type { Range } from '../../protocol/data/sharding.ts';
import type { Assignment, MessageOf, Sums } from '../../protocol/wire/messages.ts';
import type { Engine, GradientBuffers } from '../engines/engine.ts';
import { createSampleSource } from './sample-source.ts';
import type { SourceOptions } from './sample-source.ts';

/** A vector that travels, as long as its layout says, and views of its two parts as an engine fills them. */
export interface ContributionVector extends GradientBuffers {
  readonly values: Float32Array<ArrayBuffer>;
}

export interface Contribution {
  readonly layout: VectorLayout;
  /** vector <- the contribution of microbatch `index` of the assigned step. `computeMs` is time of engine and optimizer. */
  compute(assignment: Assignment, index: number, vector: ContributionVector): Promise<Sums & { computeMs: number }>;
  /** Which of a microbatch's numbers are not finite, in words; undefined where all are. */
  describeNonFinite(sums: Sums, vector: ContributionVector): string | undefined;
}

export interface GradientContributionOptions extends SourceOptions {
  readonly engine: Engine;
  readonly replica: Pick<Replica, 'plan'>;
}

/** [gradient | statistics x samples] of a microbatch. */
export function createGradientContribution(options: GradientContributionOptions): Contribution {
  const { engine, replica } = options;
  const samplesOf = createSampleSource(options);
  return {
    layout: replica.plan,
    async compute({ epoch, stepInEpoch }, index, vector) {
      const microbatch = samplesOf(epoch, stepInEpoch, index);
      const startMs = performance.now();
      const sums = await engine.computeGradient(microbatch, vector);
      const computeMs = performance.now() - startMs;
      // Statistics are means: weighted by samples they add up like gradients, which are sums already.
      for (let i = 0; i < vector.statistics.length; i++) vector.statistics[i]! *= microbatch.numSamples;
      return { ...sums, computeMs };
    },
    describeNonFinite: ({ lossSum }, { values }) =>
      Number.isFinite(lossSum) ? describeNonFinite(replica.plan, values) : 'the loss',
  };
}

/** A vector of zeros, and its two parts. */
export function createVector(layout: VectorLayout): ContributionVector {
  return viewVector(new Float32Array(layout.numParameters + layout.numBuffers), layout);
}

export function viewVector(values: Float32Array<ArrayBuffer>, { numParameters }: VectorLayout): ContributionVector {
  return { values, gradient: values.subarray(0, numParameters), statistics: values.subarray(numParameters) };
}

/** The parts of a welcome that say how an epoch is cut. */
export type BatchSizes = Pick<MessageOf<'welcome'>, 'globalBatch' | 'numMicrobatches' | 'numTrainSamples'>;

/**
 * The microbatches of an assignment, and how many its step has. Throws ERR_SHAPE_MISMATCH for an assignment of
 * microbatches that its step, or of a step that its epoch, does not have.
 */
export function assignedMicrobatches(
  { step, stepInEpoch, firstMicrobatch: first, numMicrobatches: count }: Assignment,
  { globalBatch, numMicrobatches, numTrainSamples }: BatchSizes,
): { readonly range: Range; readonly numParts: number } {
  const batch = globalBatchRange(stepInEpoch, globalBatch, numTrainSamples);
  const numParts = microbatchesOf(batch, numMicrobatches);
  if (batch.count < 1 || first + count > numParts) {
    throw new ProtocolError('ERR_SHAPE_MISMATCH', `an assignment beyond step ${stepInEpoch} of the epoch`, { step });
  }
  return { range: { first, count }, numParts };
}
