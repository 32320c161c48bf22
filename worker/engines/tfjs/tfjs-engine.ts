/**
 * The tfjs engine: the model written in TensorFlow.js operations (`layers.ts`), its gradient by TensorFlow.js's
 * autodiff, on the best backend that is installed (`loader.ts`).
 *
 * TensorFlow.js has one current backend a process. An engine makes its own the current one at the beginning of a call,
 * and a call runs from there to its end without giving way, so engines on several backends may share a process; what
 * else there uses TensorFlow.js must choose its backend anew. A call blocks its
 * thread until the device is done, so the registry gives the engine one (`thread/`).
 */
import * as tf from '@tensorflow/tfjs';
import { countOf } from '../../../protocol/counts.ts';
import type { Labels } from '../../../protocol/data/labels.ts';
import { internalError } from '../../../protocol/errors.ts';
import { slotView, type TensorSlot } from '../../../protocol/state/model-spec.ts';
import { createDropoutFactors } from './dropout.ts';
import type { Engine, EngineOptions, GradientBuffers, Microbatch, MicrobatchResult } from '../engine.ts';
import { batchStatistics, crossEntropySum, forward, maxPoolByComparison, maxPoolByKernel } from './layers.ts';
import type { BatchNormPlan, FeatureStatistics, MaxPool } from './layers.ts';
import { startBackend, type StartedBackend } from './loader.ts';
import type { WasmMemory } from './wasm-kernels.ts';

interface BackendHabits {
  /** One whose gradient goes to the first of equal entries. */
  readonly maxPool: MaxPool;
  /** A float32 tensor's values, once the device has them; good until the next operation. */
  readonly valuesOf: (tensor: tf.Tensor) => Float32Array;
}

const copyOf = (tensor: tf.Tensor): Float32Array => tensor.dataSync<'float32'>();

const HABITS = {
  // cuDNN, which pools on a GPU, leaves open which of equal entries takes the gradient.
  tensorflow: { maxPool: maxPoolByComparison, valuesOf: copyOf },
  wasm: {
    maxPool: maxPoolByKernel,
    // A view: a copy of the 3.8 MB of `conv`'s gradient into fresh memory takes 5 to 9 ms, this 0.1.
    valuesOf: (tensor) => (tf.backend() as unknown as WasmMemory).typedArrayFromHeap(tensor) as Float32Array,
  },
  cpu: { maxPool: maxPoolByKernel, valuesOf: copyOf },
} satisfies Record<StartedBackend['backend'], BackendHabits>;

/**
 * An engine on `options.device`, by default the first of tensorflow-gpu, tensorflow, wasm and cpu that can be had. Keeps
 * the caller's vectors and reads them at every call; holds no tensor between calls.
 *
 * Throws `ConfigError` with reason and cure for a device that cannot be had.
 */
export async function createTfjsEngine(options: EngineOptions): Promise<Engine> {
  const { plan, parameters, buffers, maxBatch, labelSmoothing = 0 } = options;
  const { numClasses } = plan.spec;
  const { device, backend, threads } = await startBackend(options.device, options.threads);
  const { maxPool, valuesOf }: BackendHabits = HABITS[backend];
  const scaled = new Float32Array(maxBatch * plan.inputSize);
  const dropoutFactors = createDropoutFactors(plan, maxBatch);

  const tensorOf = (flat: Float32Array<ArrayBuffer>, slot: TensorSlot): tf.Tensor =>
    tf.tensor(slotView(flat, slot), [...slot.shape], 'float32');

  /** Targets with smoothing s: s/K + (1 - s) at the label, s/K elsewhere. */
  const tensorsOf = (batch: Microbatch, smoothing = 0) => {
    const { images, labels, numSamples } = batch;
    checkBatch(batch, options);
    const numBytes = numSamples * plan.inputSize;
    for (let i = 0; i < numBytes; i++) scaled[i] = images[i]! / 255;
    // Not by `tf.oneHot`: on wasm it writes integers into a tensor of floats.
    const offLabel = smoothing / numClasses;
    const targets = new Float32Array(numSamples * numClasses).fill(offLabel);
    for (let s = 0; s < numSamples; s++) targets[s * numClasses + labels[s]!] = 1 - smoothing + offLabel;
    return {
      images_BCHW: tf.tensor4d(scaled.subarray(0, numBytes), [numSamples, ...plan.spec.input]),
      targets_BK: tf.tensor2d(targets, [numSamples, numClasses]),
    };
  };

  const resultOf = (loss: tf.Tensor, outputs_BK: tf.Tensor2D, { labels, numSamples }: Microbatch) => ({
    lossSum: valuesOf(loss)[0]!,
    numCorrect: countCorrect(valuesOf(outputs_BK), labels, numSamples),
    numSamples,
  });

  const trainingStep = (batch: Microbatch, into: GradientBuffers): MicrobatchResult => {
    // What the loss is not is lost to autodiff unless it is kept.
    const statisticsOf = new Map<BatchNormPlan, FeatureStatistics>();
    let outputs_BK: tf.Tensor2D | undefined;
    try {
      return freeingTensors(() => {
        const { images_BCHW, targets_BK } = tensorsOf(batch, labelSmoothing);
        const dropoutFactorsOf = dropoutFactors(batch);
        const lossOf = (...tensors: tf.Tensor[]): tf.Scalar => {
          const tensorFor = new Map(plan.parameters.map((slot, i) => [slot, tensors[i]!]));
          outputs_BK = forward(plan, images_BCHW, {
            maxPool,
            dropoutFactorsOf,
            parameterOf: (slot) => tensorFor.get(slot)!,
            statisticsOf: (layer, input) => {
              const { mean, variance } = batchStatistics(input);
              statisticsOf.set(layer, { mean: tf.keep(mean), variance: tf.keep(variance) });
              return { mean, variance };
            },
          });
          tf.keep(outputs_BK);
          return crossEntropySum(outputs_BK, targets_BK);
        };
        const tensors = plan.parameters.map((slot) => tensorOf(parameters, slot));
        const { value, grads } = tf.valueAndGrads(lossOf)(tensors);

        plan.parameters.forEach((slot, i) => into.gradient.set(valuesOf(grads[i]!), slot.offset));
        for (const [layer, { mean, variance }] of statisticsOf) {
          into.statistics.set(valuesOf(mean), layer.mean.offset);
          into.statistics.set(valuesOf(variance), layer.variance.offset);
        }
        return resultOf(value, outputs_BK!, batch);
      });
    } finally {
      tf.dispose([...statisticsOf.values()].flatMap(({ mean, variance }) => [mean, variance]));
      outputs_BK?.dispose();
    }
  };

  const evaluation = (batch: Microbatch, outputs?: Float32Array<ArrayBuffer>): MicrobatchResult =>
    freeingTensors(() => {
      const { images_BCHW, targets_BK } = tensorsOf(batch);
      const outputs_BK = forward(plan, images_BCHW, {
        maxPool,
        parameterOf: (slot) => tensorOf(parameters, slot),
        statisticsOf: (layer) => ({
          mean: tensorOf(buffers, layer.mean),
          variance: tensorOf(buffers, layer.variance),
        }),
      });
      outputs?.set(valuesOf(outputs_BK));
      return resultOf(crossEntropySum(outputs_BK, targets_BK), outputs_BK, batch);
    });

  /** What `compute` throws becomes a rejection. */
  const inOneGo = <T>(compute: () => T): Promise<T> =>
    new Promise((resolve) => {
      makeCurrent(backend);
      resolve(compute());
    });

  return {
    name: 'tfjs',
    device,
    threads,

    computeGradient: (batch, into) => inOneGo(() => trainingStep(batch, into)),
    evaluate: (batch, outputs) => inOneGo(() => evaluation(batch, outputs)),
    dispose: () => Promise.resolve(),
  };
}

/** Throws unless images and labels are there for every sample, and no more samples than were agreed. */
function checkBatch({ images, labels, numSamples }: Microbatch, { plan, maxBatch }: EngineOptions): void {
  const numBytes = numSamples * plan.inputSize;
  if (images.length < numBytes || labels.length < numSamples || numSamples > maxBatch) {
    throw internalError(
      `${countOf(numSamples, 'sample')} (at most ${maxBatch}) need ${countOf(numBytes, 'byte')} of images and ${countOf(numSamples, 'label')}, ` +
        `got ${images.length} and ${labels.length}`,
    );
  }
}

/** Runs `compute` and disposes of every tensor that it made and did not keep. */
function freeingTensors<T>(compute: () => T): T {
  tf.engine().startScope();
  try {
    return compute();
  } finally {
    tf.engine().endScope();
  }
}

/** Takes effect at once: `setBackend` only waits for a backend that has not been started. */
function makeCurrent(backend: string): void {
  if (tf.getBackend() !== backend) void tf.setBackend(backend);
}

/** Counted here: which of equal entries a backend's `argMax` takes is its own choice. */
function countCorrect(outputs: Float32Array, labels: Labels, numSamples: number): number {
  const numClasses = outputs.length / numSamples;
  let numCorrect = 0;
  for (let sample = 0; sample < numSamples; sample++) {
    const ofSample = outputs.subarray(sample * numClasses, (sample + 1) * numClasses);
    const largest = ofSample.reduce((a, b) => Math.max(a, b), -Infinity);
    if (ofSample.indexOf(largest) === labels[sample]) numCorrect++;
  }
  return numCorrect;
}
