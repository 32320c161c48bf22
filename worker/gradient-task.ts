/**
 * The work of a step on one worker: gather the samples of each assigned microbatch, compute its gradient, add up the
 * subtrees that are whole here, send each one's root as soon as it is there.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { IMAGE_BYTES } from '../protocol/state/dataset.ts';
import type { Dataset, SampleSet } from '../protocol/state/dataset.ts';
import type { ModelPlan } from '../protocol/state/model-spec.ts';
import { epochOrder } from '../protocol/state/random.ts';
import { createReducer, wholeSubtrees } from '../protocol/state/reduction.ts';
import { globalBatchRange, microbatchesOf, part } from '../protocol/state/sharding.ts';
import type { Range } from '../protocol/state/sharding.ts';
import type { VectorMath } from '../protocol/state/vector-math.ts';
import type { Assignment, MessageOf, Sums } from '../protocol/wire/messages.ts';
import type { Transport } from '../protocol/wire/transport.ts';
import type { PayloadAllocator } from '../protocol/wire/shared-memory.ts';
import type { Engine, GradientBuffers } from './engines/engine.ts';
import { createGradientEncoder } from './gradient-encoder.ts';

export interface GradientTask {
  /** Computes and sends an assignment's gradients; `applyMs` is what the update before it took, for the record. */
  compute(assignment: Assignment, applyMs: number): Promise<void>;
  /** Tells that the coordinator has the gradients of the last assignment: their memory may be used again. */
  gradientsArrived(): void;
}

interface TaskOptions {
  readonly transport: Transport;
  readonly welcome: Pick<MessageOf<'welcome'>, 'seed' | 'globalBatch' | 'numMicrobatches' | 'numTrainSamples' | 'wire'>;
  readonly dataset: Dataset;
  readonly engine: Engine;
  readonly replica: { readonly plan: ModelPlan };
  readonly vectorMath: VectorMath;
  /** Where what travels lies; in the process's own memory when left out. */
  readonly allocate?: PayloadAllocator;
}

/** A vector [gradient | statistics] that travels, and the engine's views of it. */
interface GradientVector extends GradientBuffers {
  readonly values: Float32Array<ArrayBuffer>;
}

export function createGradientTask(options: TaskOptions): GradientTask {
  const { transport, welcome, dataset, engine, replica, vectorMath } = options;
  const { globalBatch, numMicrobatches, seed, numTrainSamples } = welcome;
  const gather = createGatherer(dataset.train, Math.ceil(globalBatch / numMicrobatches), vectorMath);
  const orderOf = rememberLast((epoch: number) => epochOrder(seed, epoch, numTrainSamples));
  const encoder = createGradientEncoder(welcome.wire, replica.plan, vectorMath, options.allocate);
  /** Views are made once for each vector: vectors come back. */
  const viewsOf = rememberAll((values: Float32Array<ArrayBuffer>) => createVector(values, replica.plan));

  const combine = (left: GradientVector, right: GradientVector): GradientVector => {
    vectorMath.addVectors(left.values, left.values, right.values);
    encoder.free(right.values);
    return left;
  };

  return {
    gradientsArrived: () => encoder.arrived(),
    async compute(assignment, applyMs) {
      const { step, epoch, stepInEpoch } = assignment;
      const batch = globalBatchRange(stepInEpoch, globalBatch, numTrainSamples);
      const numParts = microbatchesOf(batch, numMicrobatches);
      const range: Range = { first: assignment.firstMicrobatch, count: assignment.numMicrobatches };
      if (batch.count < 1 || range.first + range.count > numParts) {
        throw new ProtocolError('ERR_SHAPE_MISMATCH', `an assignment beyond step ${stepInEpoch} of the epoch`, {
          step,
        });
      }
      const order = orderOf(epoch);
      const reducer = createReducer(numParts, wholeSubtrees(range, numParts), combine);

      let microbatches: Sums[] = [];
      let computeMs = 0;
      let startMs = performance.now();
      for (let index = range.first; index < range.first + range.count; index++) {
        const samples = part(batch, numParts, index);
        const vector = viewsOf(encoder.take());
        const microbatch = gather(order.subarray(samples.first, samples.first + samples.count));
        const computeStartMs = performance.now();
        microbatches.push(await engine.computeGradient(microbatch, vector));
        computeMs += performance.now() - computeStartMs;

        // Statistics are means: weighted by samples they add up like gradients, which are sums already.
        for (let i = 0; i < vector.statistics.length; i++) vector.statistics[i]! *= samples.count;
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

function createVector(values: Float32Array<ArrayBuffer>, { numParameters }: ModelPlan): GradientVector {
  return { values, gradient: values.subarray(0, numParameters), statistics: values.subarray(numParameters) };
}

/** Returns a function that copies the samples at `indices` into one reused microbatch. */
function createGatherer(samples: SampleSet, maxSamples: number, { gatherRows }: VectorMath) {
  const images = new Uint8Array(maxSamples * IMAGE_BYTES);
  const labels = new Uint8Array(maxSamples);
  return (indices: Uint32Array) => {
    gatherRows(images, samples.images, indices, IMAGE_BYTES);
    gatherRows(labels, samples.labels, indices, 1);
    return { images, labels, numSamples: indices.length };
  };
}

/** The function with its last result kept: an epoch's order is asked for at every step. */
function rememberLast<A, R>(compute: (argument: A) => R): (argument: A) => R {
  let last: { argument: A; result: R } | undefined;
  return (argument) => {
    if (last?.argument !== argument) last = { argument, result: compute(argument) };
    return last.result;
  };
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
