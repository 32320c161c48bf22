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
import { applyBatchNorm, batchStatistics, type FeatureStatistics } from './batch-norm.ts';
import { applyConvolution } from './convolution.ts';
import { applyDense } from './dense.ts';
import type { AppliedLayer } from './layer.ts';
import { applyMaxPool } from './max-pool.ts';
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
  const { plan, parameters, buffers, device = 'cpu', labelSmoothing } = options;
  const refusal = refusedDevice(device);
  if (refusal) return Promise.reject(refusal);
  return Promise.resolve({
    name: 'reference',
    device,
    threads: 1,

    computeGradient(batch, into) {
      const layers = forward(plan, parameters, batch, (layer, input) => {
        const statistics = batchStatistics(layer, input, batch.numSamples);
        into.statistics.set(statistics.mean, layer.mean.offset);
        into.statistics.set(statistics.variance, layer.variance.offset);
        return statistics;
      });
      const { lossSum, numCorrect, gradient: outputGradient } = lossOf(plan, layers, batch, labelSmoothing);

      const gradient = new Float64Array(plan.numParameters);
      let upstream: Float64Array = outputGradient;
      for (const layer of layers.toReversed()) upstream = layer.pullback(upstream, gradient);
      into.gradient.set(gradient);
      return Promise.resolve({ lossSum, numCorrect, numSamples: batch.numSamples });
    },

    evaluate(batch, outputs) {
      const layers = forward(plan, parameters, batch, (layer) => ({
        mean: Float64Array.from(buffers.subarray(layer.mean.offset, layer.mean.offset + layer.mean.size)),
        variance: Float64Array.from(
          buffers.subarray(layer.variance.offset, layer.variance.offset + layer.variance.size),
        ),
      }));
      outputs?.set(layers.at(-1)!.output);
      const { lossSum, numCorrect } = lossOf(plan, layers, batch);
      return Promise.resolve({ lossSum, numCorrect, numSamples: batch.numSamples });
    },

    dispose: () => Promise.resolve(),
  });
}

/** Applies every layer to the batch, first to last. */
function forward(
  plan: ModelPlan,
  parameters: Float32Array,
  { images, numSamples }: Microbatch,
  statisticsOf: StatisticsSource,
): AppliedLayer[] {
  const layers: AppliedLayer[] = [];
  let values: Float64Array = Float64Array.from(images.subarray(0, numSamples * plan.inputSize), (byte) => byte / 255);
  for (const layer of plan.layers) {
    const applied = applyLayer(layer, values, numSamples, parameters, statisticsOf);
    layers.push(applied);
    values = applied.output;
  }
  return layers;
}

function applyLayer(
  layer: LayerPlan,
  input: Float64Array,
  numSamples: number,
  parameters: Float32Array,
  statisticsOf: StatisticsSource,
): AppliedLayer {
  switch (layer.kind) {
    case 'conv':
      return applyConvolution(layer, input, numSamples, parameters);
    case 'maxPool':
      return applyMaxPool(layer, input, numSamples);
    case 'flatten':
      // Row-major maps are already in channel, row, column order: only the shape changes.
      return { output: input, pullback: (upstream) => upstream };
    case 'dense':
      return applyDense(layer, input, numSamples, parameters);
    case 'batchNorm':
      return applyBatchNorm(layer, input, numSamples, parameters, statisticsOf(layer, input));
  }
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
