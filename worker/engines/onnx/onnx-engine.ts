/**
 * The onnx engine: runs a training graph and an evaluation graph, built from the model, in ONNX Runtime. It derives no
 * gradients itself: see `training-graph.ts`.
 *
 * One session serves every batch size, and a step copies nothing: parameters are fed as views of the caller's vector,
 * and ONNX Runtime writes results straight into views of the caller's `GradientBuffers`. `run` blocks its
 * thread until the device is done, so the registry gives the engine one (`thread/`).
 *
 * On a GPU nothing stays between steps: parameters and batch come from the caller at every call, and results go back to
 * it. They travel tensor by tensor: one flat tensor each way, cut and joined in the graph, took a tenth longer on a
 * software adapter (ONNX Runtime 1.30, WebGPU). The first step at each batch size waits for its shaders to be compiled.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Labels } from '../../../protocol/data/labels.ts';
import { slotView, type TensorSlot } from '../../../protocol/state/model-spec.ts';
import { createDropoutMasks } from '../dropout.ts';
import type { Engine, EngineOptions, GradientBuffers, Microbatch, MicrobatchResult } from '../engine.ts';
import { findDevice, startError, type OnnxDevice } from './devices.ts';
import { DROPOUT_MASKS } from './dropout.ts';
import { buildEvaluationGraph } from './evaluation-graph.ts';
import { IMAGES, labelTypeOf, LABELS, LOSS_SUM, NUM_CORRECT, OUTPUTS } from './loss.ts';
import { buildTrainingGraph, outputNameOf } from './training-graph.ts';

type TensorMap = Record<string, Tensor>;

/** The fetches that write into one gradient vector, made for `statistics`. */
interface CachedFetches {
  readonly statistics: Float32Array<ArrayBuffer>;
  readonly fetches: TensorMap;
}

/**
 * An engine on `options.threads` threads. Keeps the caller's vectors and reads them at every call; holds two sessions
 * until `dispose`. Equal inputs give equal bits, at one number of threads; on `cuda` within one engine only, since cuDNN
 * chooses its algorithms by timing them.
 *
 * Throws `ConfigError` for a device that it does not know, or that cannot be had or started, with the cure.
 */
export async function createOnnxEngine(options: EngineOptions): Promise<Engine> {
  const { plan, parameters, buffers, maxBatch, threads, labelSmoothing } = options;
  const device = findDevice(options.device ?? 'cpu');
  const trainingSession = await createSession(buildTrainingGraph(plan, device.target, labelSmoothing), device, threads);
  const evaluationSession = await createSession(buildEvaluationGraph(plan, device.target), device, threads);

  const parameterFeeds = tensorsOf(plan.parameters, parameters, (slot) => slot.name);
  const bufferFeeds = tensorsOf(plan.buffers, buffers, (slot) => slot.name);
  const lossSum = new Float32Array(1);
  const numCorrect = new Float32Array(1);
  const scalarFetches = {
    [LOSS_SUM]: new Tensor('float32', lossSum, []),
    [NUM_CORRECT]: new Tensor('float32', numCorrect, []),
  };

  // Callers reuse a few vectors for a whole run: each gets its tensors once, and they go when it does.
  const cache = new WeakMap<Float32Array<ArrayBuffer>, CachedFetches>();
  const fetchesInto = ({ gradient, statistics }: GradientBuffers): TensorMap => {
    const cached = cache.get(gradient);
    if (cached?.statistics === statistics) return cached.fetches;
    const fetches = {
      ...scalarFetches,
      ...tensorsOf(plan.parameters, gradient, outputNameOf),
      ...tensorsOf(plan.buffers, statistics, outputNameOf),
    };
    cache.set(gradient, { statistics, fetches });
    return fetches;
  };

  const labelType = labelTypeOf(plan);
  const batchFeeds = ({ images, labels, numSamples }: Microbatch): TensorMap => ({
    [IMAGES]: new Tensor('uint8', images.subarray(0, numSamples * plan.inputSize), [numSamples, plan.inputSize]),
    [LABELS]: labelTensor(labels.subarray(0, numSamples), labelType),
  });
  const masksOf = createDropoutMasks(plan, maxBatch);
  const maskFeeds = (batch: Microbatch): TensorMap => {
    const { numDropoutUnits } = plan;
    if (numDropoutUnits === 0) return {};
    return { [DROPOUT_MASKS]: new Tensor('uint8', masksOf(batch), [batch.numSamples, numDropoutUnits]) };
  };
  const resultOf = ({ numSamples }: Microbatch): MicrobatchResult => ({
    lossSum: lossSum[0]!,
    numCorrect: numCorrect[0]!,
    numSamples,
  });

  return {
    name: 'onnx',
    device: device.description,
    threads,

    async computeGradient(batch, into) {
      const feeds = { ...parameterFeeds, ...batchFeeds(batch), ...maskFeeds(batch) };
      await trainingSession.run(feeds, fetchesInto(into));
      return resultOf(batch);
    },

    async evaluate(batch, outputs) {
      const feeds = { ...parameterFeeds, ...bufferFeeds, ...batchFeeds(batch) };
      const fetches = outputs ? { ...scalarFetches, [OUTPUTS]: null } : scalarFetches;
      const fetched = await evaluationSession.run(feeds, fetches);
      if (outputs) transpose(outputs, fetched[OUTPUTS]!.data as Float32Array, batch.numSamples);
      return resultOf(batch);
    },

    async dispose() {
      await trainingSession.release();
      await evaluationSession.release();
    },
  };
}

/** [numSamples, 1] */
function labelTensor(labels: Labels, type: 'uint8' | 'int32'): Tensor {
  const shape = [labels.length, 1];
  if (type === 'int32') return new Tensor('int32', Int32Array.from(labels), shape);
  return new Tensor('uint8', labels instanceof Uint8Array ? labels : Uint8Array.from(labels), shape);
}

async function createSession(model: Uint8Array, device: OnnxDevice, threads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(model, {
      ...device.sessionOptions,
      intraOpNumThreads: threads,
      // The graph is one chain: nodes one after the other, each on all the threads.
      interOpNumThreads: 1,
      executionMode: 'sequential',
    });
  } catch (error) {
    throw startError(device, error);
  }
}

/** outputs[s][c] <- values[c][s]. */
function transpose(outputs: Float32Array, values: Float32Array, numSamples: number): void {
  const numClasses = values.length / numSamples;
  for (let s = 0; s < numSamples; s++) {
    for (let c = 0; c < numClasses; c++) outputs[s * numClasses + c] = values[c * numSamples + s]!;
  }
}

/** A tensor for each slot, by name: a view of its part of `flat`. */
function tensorsOf(
  slots: readonly TensorSlot[],
  flat: Float32Array<ArrayBuffer>,
  nameOf: (slot: TensorSlot) => string,
): TensorMap {
  return Object.fromEntries(
    slots.map((slot) => [nameOf(slot), new Tensor('float32', slotView(flat, slot), slot.shape)]),
  );
}
