/**
 * The reference engine: forward and backward in plain TypeScript and float64, written to be read. It judges every other
 * engine, in tests and in the probe before a run. It is not fast (a second for what others do in 30 ms), and `auto`
 * never takes it.
 *
 * Values are [numSamples, ...shape], row-major; a sum over the samples is a plain sum, in their order.
 */
import { ConfigError } from '../../../protocol/errors.ts';
import type { LayerPlan, ModelPlan } from '../../../protocol/state/model-spec.ts';
import type { Engine, EngineOptions, Microbatch } from '../engine.ts';
import { createDropoutMasks } from '../dropout.ts';
import { applyAveragePool } from './average-pool.ts';
import { applyBatchNorm, batchStatistics, type FeatureStatistics } from './batch-norm.ts';
import { applyConvolution } from './convolution.ts';
import { applyDense } from './dense.ts';
import { applyDropout } from './dropout.ts';
import type { AppliedLayer } from './layer.ts';
import { applyMaxPool } from './max-pool.ts';
import { applyFork, applyJoin, type OpenBlock } from './residual.ts';
import { softmaxCrossEntropy } from './softmax-cross-entropy.ts';

type BatchNormPlan = Extract<LayerPlan, { kind: 'batchNorm' }>;

/** Where a batch norm's statistics come from: the batch (in training) or the running values (in evaluation). */
type StatisticsSource = (layer: BatchNormPlan, input: Float64Array) => FeatureStatistics;

/** Why a device is none of this engine, which has only cpu. */
export function refusedDevice(device = 'cpu'): ConfigError | undefined {
  if (device === 'cpu') return undefined;
  return new ConfigError(`--device ${device}: the reference engine runs on cpu only; leave --device out`);
}

/**
 * An engine on one thread of the CPU, whatever `options.threads` says. Keeps the caller's vectors, copies nothing.
 *
 * Throws `ConfigError` when asked for a device other than cpu.
 */
export function createReferenceEngine(options: EngineOptions): Promise<Engine> {
  const { plan, parameters, buffers, maxBatch, device = 'cpu', labelSmoothing } = options;
  const refusal = refusedDevice(device);
  if (refusal) return Promise.reject(refusal);
  const masksOf = createDropoutMasks(plan, maxBatch);
  return Promise.resolve({
    name: 'reference',
    device,
    threads: 1,

    // Async, so that what is thrown is a rejection.
    // eslint-disable-next-line @typescript-eslint/require-await
    async computeGradient(batch, into) {
      const statisticsOf = (layer: BatchNormPlan, input: Float64Array): FeatureStatistics => {
        const statistics = batchStatistics(layer, input, batch.numSamples);
        into.statistics.set(statistics.mean, layer.mean.offset);
        into.statistics.set(statistics.variance, layer.variance.offset);
        return statistics;
      };
      const layers = forward(plan, parameters, batch, { statisticsOf, masks: masksOf(batch) });
      const { lossSum, numCorrect, gradient: outputGradient } = lossOf(plan, layers, batch, labelSmoothing);

      const gradient = new Float64Array(plan.numParameters);
      let upstream: Float64Array = outputGradient;
      for (const layer of layers.toReversed()) upstream = layer.pullback(upstream, gradient);
      into.gradient.set(gradient);
      return { lossSum, numCorrect, numSamples: batch.numSamples };
    },

    evaluate(batch, outputs) {
      const statisticsOf = (layer: BatchNormPlan): FeatureStatistics => ({
        mean: Float64Array.from(buffers.subarray(layer.mean.offset, layer.mean.offset + layer.mean.size)),
        variance: Float64Array.from(
          buffers.subarray(layer.variance.offset, layer.variance.offset + layer.variance.size),
        ),
      });
      const layers = forward(plan, parameters, batch, { statisticsOf });
      outputs?.set(layers.at(-1)!.output);
      const { lossSum, numCorrect } = lossOf(plan, layers, batch);
      return Promise.resolve({ lossSum, numCorrect, numSamples: batch.numSamples });
    },

    dispose: () => Promise.resolve(),
  });
}

/** What training and evaluation differ in. */
interface Mode {
  readonly statisticsOf: StatisticsSource;
  /** Dropout's, in training: see `createDropoutMasks`. */
  readonly masks?: Uint8Array;
}

/** Applies every layer to the batch, first to last. */
function forward(
  plan: ModelPlan,
  parameters: Float32Array,
  { images, numSamples }: Microbatch,
  { statisticsOf, masks }: Mode,
): AppliedLayer[] {
  const layers: AppliedLayer[] = [];
  const openBlocks: OpenBlock[] = [];

  const applyLayer = (layer: LayerPlan, input: Float64Array): AppliedLayer => {
    switch (layer.kind) {
      case 'conv':
        return applyConvolution(layer, input, numSamples, parameters);
      case 'maxPool':
        return applyMaxPool(layer, input, numSamples);
      case 'averagePool':
        return applyAveragePool(layer, input, numSamples);
      case 'flatten':
        // Row-major maps are already in channel, row, column order: only the shape changes.
        return { output: input, pullback: (upstream) => upstream };
      case 'dense':
        return applyDense(layer, input, numSamples, parameters);
      case 'batchNorm':
        return applyBatchNorm(layer, input, numSamples, parameters, statisticsOf(layer, input));
      case 'dropout':
        return masks
          ? applyDropout(layer, input, numSamples, masks)
          : { output: input, pullback: (upstream) => upstream };
      case 'fork':
        openBlocks.push({ input });
        return applyFork(openBlocks.at(-1)!);
      case 'join':
        return applyJoin(layer, input, openBlocks.pop()!);
    }
  };

  let values: Float64Array = Float64Array.from(images.subarray(0, numSamples * plan.inputSize), (byte) => byte / 255);
  for (const layer of plan.layers) {
    const applied = applyLayer(layer, values);
    layers.push(applied);
    values = applied.output;
  }
  return layers;
}

/** The loss of the last layer's output. */
function lossOf(
  plan: ModelPlan,
  layers: readonly AppliedLayer[],
  { labels, numSamples }: Microbatch,
  labelSmoothing = 0,
) {
  return softmaxCrossEntropy(layers.at(-1)!.output, labels, numSamples, plan.spec.numClasses, labelSmoothing);
}
