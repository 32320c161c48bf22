/**
 * The work of a step on one worker: compute the contribution of each assigned microbatch, add up the subtrees that are
 * whole here, send each one's root as soon as it is there. A contribution is a gradient, or what `local-task.ts` makes.
 */
import { ProtocolError } from '../protocol/errors.ts';
import type { Dataset } from '../protocol/state/dataset.ts';
import type { VectorLayout } from '../protocol/state/exchange.ts';
import { createReducer, wholeSubtrees } from '../protocol/state/reduction.ts';
import { globalBatchRange, microbatchesOf } from '../protocol/state/sharding.ts';
import type { Range } from '../protocol/state/sharding.ts';
import type { VectorMath } from '../protocol/state/vector-math.ts';
import type { Assignment, MessageOf, Sums } from '../protocol/wire/messages.ts';
import type { PayloadAllocator } from '../protocol/wire/shared-memory.ts';
import type { Transport } from '../protocol/wire/transport.ts';
import type { Engine, GradientBuffers } from './engines/engine.ts';
import { createGradientEncoder } from './gradient-encoder.ts';
import { createSampleSource } from './sample-source.ts';

export interface GradientTask {
  /** Computes and sends an assignment's gradients; `applyMs` is what the update before it took, for the record. */
  compute(assignment: Assignment, applyMs: number): Promise<void>;
  /** Tells that the coordinator has the gradients of the last assignment: their memory may be used again. */
  gradientsArrived(): void;
}

export interface TaskOptions {
  readonly transport: Transport;
  readonly welcome: Pick<MessageOf<'welcome'>, 'seed' | 'globalBatch' | 'numMicrobatches' | 'numTrainSamples' | 'wire'>;
  readonly dataset: Dataset;
  readonly engine: Engine;
  readonly replica: { readonly plan: VectorLayout };
  readonly vectorMath: VectorMath;
  /** Where what travels lies; in the process's own memory when left out. */
  readonly allocate?: PayloadAllocator;
  /** What travels; gradients when left out. */
  readonly contribution?: Contribution;
}

/** A vector [gradient | statistics] that travels, and the engine's views of it. */
export interface GradientVector extends GradientBuffers {
  readonly values: Float32Array<ArrayBuffer>;
}

/** What a microbatch adds to its step. */
export interface Contribution {
  readonly layout: VectorLayout;
  /** vector <- the contribution of microbatch `index` of the assigned step. `computeMs` is time of engine and optimizer. */
  compute(assignment: Assignment, index: number, vector: GradientVector): Promise<Sums & { computeMs: number }>;
}

export function createGradientTask(options: TaskOptions): GradientTask {
  const { transport, welcome, vectorMath, contribution = createGradientContribution(options) } = options;
  const { globalBatch, numMicrobatches, numTrainSamples } = welcome;
  const { layout } = contribution;
  const encoder = createGradientEncoder(welcome.wire, layout, vectorMath, options.allocate);
  /** Views are made once for each vector: vectors come back. */
  const viewsOf = rememberAll((values: Float32Array<ArrayBuffer>) => viewVector(values, layout));

  const combine = (left: GradientVector, right: GradientVector): GradientVector => {
    vectorMath.addVectors(left.values, left.values, right.values);
    encoder.free(right.values);
    return left;
  };

  return {
    gradientsArrived: () => encoder.arrived(),
    async compute(assignment, applyMs) {
      const { step, stepInEpoch } = assignment;
      const batch = globalBatchRange(stepInEpoch, globalBatch, numTrainSamples);
      const numParts = microbatchesOf(batch, numMicrobatches);
      const range: Range = { first: assignment.firstMicrobatch, count: assignment.numMicrobatches };
      if (batch.count < 1 || range.first + range.count > numParts) {
        throw new ProtocolError('ERR_SHAPE_MISMATCH', `an assignment beyond step ${stepInEpoch} of the epoch`, {
          step,
        });
      }
      const reducer = createReducer(numParts, wholeSubtrees(range, numParts), combine);

      let microbatches: Sums[] = [];
      let computeMs = 0;
      let startMs = performance.now();
      for (let index = range.first; index < range.first + range.count; index++) {
        const vector = viewsOf(encoder.take());
        const { computeMs: ofMicrobatchMs, ...sums } = await contribution.compute(assignment, index, vector);
        microbatches.push(sums);
        computeMs += ofMicrobatchMs;
        const root = reducer.add({ first: index, count: 1 }, vector);
        if (!root) continue;
        const { first: firstMicrobatch, count } = root.node;
        const payloads = encoder.encode(root.value.values, assignment.numBuckets);
        const encodeMs = performance.now() - startMs - computeMs;
        const range = { firstMicrobatch, numMicrobatches: count };
        const payload = payloads.pop()!;
        payloads.forEach((part, bucket) => {
          transport.send({ kind: 'gradientBucket', step, ...range, bucket, payload: part });
        });
        transport.send({ kind: 'gradient', step, ...range, microbatches, computeMs, encodeMs, applyMs, payload });
        microbatches = [];
        computeMs = 0;
        startMs = performance.now();
      }
    },
  };
}

/** [gradient | statistics x samples] of a microbatch. */
export function createGradientContribution(
  options: Pick<TaskOptions, 'welcome' | 'dataset' | 'vectorMath'> & {
    readonly engine: Engine;
    readonly replica: { readonly plan: VectorLayout };
  },
): Contribution {
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
  };
}

/** A vector of zeros, and its two parts. */
export function createVector(layout: VectorLayout): GradientVector {
  return viewVector(new Float32Array(layout.numParameters + layout.numBuffers), layout);
}

export function viewVector(values: Float32Array<ArrayBuffer>, { numParameters }: VectorLayout): GradientVector {
  return { values, gradient: values.subarray(0, numParameters), statistics: values.subarray(numParameters) };
}

/** The function with all its results kept, by the identity of their argument. */
function rememberAll<A extends object, R>(compute: (argument: A) => R): (argument: A) => R {
  const results = new WeakMap<A, R>();
  return (argument) => {
    const result = results.get(argument) ?? compute(argument);
    results.set(argument, result);
    return result;
  };
}
