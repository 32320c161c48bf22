/** Batch norm of the reference engine, over the units of flat samples or the channels of feature maps. */
import { BATCH_NORM_EPSILON, type LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { AppliedLayer } from './layer.ts';

type BatchNormPlan = Extract<LayerPlan, { kind: 'batchNorm' }>;

/** One value a feature. */
export interface FeatureStatistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/**
 * Mean and population variance of each feature over its N values: N = numSamples for a flat sample, numSamples x
 * height x width for a feature map.
 *
 *     mean = sum x / N      variance = sum (x - mean)^2 / N
 */
export function batchStatistics(layer: BatchNormPlan, input: Float64Array, numSamples: number): FeatureStatistics {
  const { numFeatures, numValues, featureOf } = featureLayout(layer, numSamples);
  const mean = new Float64Array(numFeatures);
  input.forEach((x, at) => (mean[featureOf(at)]! += x / numValues));
  const variance = new Float64Array(numFeatures);
  input.forEach((x, at) => (variance[featureOf(at)]! += (x - mean[featureOf(at)]!) ** 2 / numValues));
  return { mean, variance };
}

/**
 * y = gamma n + beta,  n = (x - mean) r,  r = 1 / sqrt(variance + epsilon), feature by feature.
 *
 * The pullback holds for the batch's own statistics, which move with x. With u = d(loss)/dy and sums and means over a
 * feature's N values:
 *
 *     dgamma = sum u n      dbeta = sum u
 *     dn = gamma u
 *     dx = r (dn - mean(dn) - n mean(dn n))
 *        = gamma r (u - dbeta / N - n dgamma / N)
 *
 * The second term is the path through the mean; the third through the variance, whose derivative by x is
 * 2 (x - mean) / N and by which n moves as -(1/2) n r^2. Sum n = 0 removes the rest.
 * Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.
 */
export function applyBatchNorm(
  layer: BatchNormPlan,
  input: Float64Array,
  numSamples: number,
  parameters: Float32Array,
  { mean, variance }: FeatureStatistics,
): AppliedLayer {
  const { numFeatures, numValues, featureOf } = featureLayout(layer, numSamples);
  const gammaAt = layer.gamma.offset;
  const betaAt = layer.beta.offset;

  const inverseDeviation = variance.map((value) => 1 / Math.sqrt(value + BATCH_NORM_EPSILON));
  const normalised = input.map((x, at) => (x - mean[featureOf(at)]!) * inverseDeviation[featureOf(at)]!);
  const output = normalised.map((n, at) => {
    const feature = featureOf(at);
    return parameters[gammaAt + feature]! * n + parameters[betaAt + feature]!;
  });

  const pullback = (upstream: Float64Array, gradient: Float64Array): Float64Array => {
    const gammaGradient = new Float64Array(numFeatures);
    const betaGradient = new Float64Array(numFeatures);
    upstream.forEach((u, at) => {
      gammaGradient[featureOf(at)]! += u * normalised[at]!;
      betaGradient[featureOf(at)]! += u;
    });
    for (let feature = 0; feature < numFeatures; feature++) {
      gradient[gammaAt + feature]! += gammaGradient[feature]!;
      gradient[betaAt + feature]! += betaGradient[feature]!;
    }
    return upstream.map((u, at) => {
      const feature = featureOf(at);
      const centred = u - (betaGradient[feature]! + normalised[at]! * gammaGradient[feature]!) / numValues;
      return parameters[gammaAt + feature]! * inverseDeviation[feature]! * centred;
    });
  };
  return { output, pullback };
}

/** How many values each feature has, and which feature a place in [numSamples, features, ...positions] belongs to. */
function featureLayout(layer: BatchNormPlan, numSamples: number) {
  const [numFeatures, ...positions] = layer.inputShape as [number, ...number[]];
  const numPositions = positions.reduce((a, b) => a * b, 1);
  return {
    numFeatures,
    numValues: numSamples * numPositions,
    featureOf: (at: number): number => Math.floor(at / numPositions) % numFeatures,
  };
}
