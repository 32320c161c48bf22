/**
 * The layers of a ModelPlan as TensorFlow.js operations, for its autodiff to go through. Nothing here derives a
 * gradient; of several ways to write a layer, the one is taken whose derivative is right at edges and ties.
 *
 * Axes: B batch, C channels, H rows, W columns, F features, I in, O out, K classes. TensorFlow is channels-last:
 * feature maps are BHWC within, while images come as BCHW, weights as OIHW, and a map is flattened in CHW order.
 */
import * as tf from '@tensorflow/tfjs';
import { internalError } from '../../../protocol/errors.ts';
import {
  BATCH_NORM_EPSILON,
  type LayerPlan,
  type ModelPlan,
  type TensorSlot,
} from '../../../protocol/state/model-spec.ts';

export type BatchNormPlan = Extract<LayerPlan, { kind: 'batchNorm' }>;
type ConvPlan = Extract<LayerPlan, { kind: 'conv' }>;
type DensePlan = Extract<LayerPlan, { kind: 'dense' }>;
type MaxPoolPlan = Extract<LayerPlan, { kind: 'maxPool' }>;

/** [F] each. */
export interface FeatureStatistics {
  readonly mean: tf.Tensor;
  readonly variance: tf.Tensor;
}

export interface ForwardOptions {
  /** The tensor of a learnt slot, in the slot's shape. */
  readonly parameterOf: (slot: TensorSlot) => tf.Tensor;
  /** Where a batch norm's statistics come from; `input` is [B, F] or BHWC. */
  readonly statisticsOf: (layer: BatchNormPlan, input: tf.Tensor) => FeatureStatistics;
  /** How to pool: see {@link maxPoolByKernel} and {@link maxPoolByComparison}. */
  readonly maxPool: MaxPool;
}

/** Pools `input`, BHWC, over windows of `size` x `size` that do not overlap. */
export type MaxPool = (input_BHWC: tf.Tensor4D, size: number) => tf.Tensor4D;

/**
 * The last layer's output, [B, K], for `images_BCHW` scaled to [0, 1].
 *
 * Makes tensors that it does not dispose of: call it within `tf.tidy`.
 */
export function forward(plan: ModelPlan, images_BCHW: tf.Tensor4D, options: ForwardOptions): tf.Tensor2D {
  let values: tf.Tensor = toChannelsLast(images_BCHW);
  for (const layer of plan.layers) values = applyLayer(layer, values, options);
  return values as tf.Tensor2D;
}

/**
 * Softmax cross-entropy, summed over the samples, a scalar: -sum_k q[k] log p[k] of each.
 *
 * - `outputs_BK`: [B, K]; `targets_BK`: q, [B, K]: 1 at the label of each sample, else 0, or these smoothed
 */
export function crossEntropySum(outputs_BK: tf.Tensor2D, targets_BK: tf.Tensor2D): tf.Scalar {
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(outputs_BK), targets_BK)));
}

/**
 * Mean and population variance of each feature, over all axes but the last.
 *
 *     mean = sum x / N      variance = sum (x - mean)^2 / N
 */
export function batchStatistics(input: tf.Tensor): FeatureStatistics {
  const axes = input.shape.slice(0, -1).map((_, axis) => axis);
  const mean = tf.mean(input, axes);
  return { mean, variance: tf.mean(tf.square(tf.sub(input, mean)), axes) };
}

/** By the backend's own kernels: fast, but which of equal entries takes the gradient is the backend's choice. */
export const maxPoolByKernel: MaxPool = (input_BHWC, size) => tf.maxPool(input_BHWC, size, size, 'valid');

/**
 * By comparing a window's entries one after the other, in row-major order. The gradient of `tf.maximum(a, b)` goes to a
 * where a >= b, so of equal entries the first takes it, on every backend.
 */
export const maxPoolByComparison: MaxPool = (input_BHWC, size) => {
  const [batch, height, width, channels] = input_BHWC.shape;
  const [rows, columns] = [Math.floor(height / size), Math.floor(width / size)];
  const whole_BHWC = tf.slice(input_BHWC, [0, 0, 0, 0], [batch, rows * size, columns * size, channels]);
  // A window's row is an axis of its own; its column lies, with the channels, in the last.
  const windows = tf.reshape(whole_BHWC, [batch * rows, size, columns, size * channels]);
  let largest: tf.Tensor | undefined;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const entry: tf.Tensor = tf.slice(windows, [0, i, 0, j * channels], [batch * rows, 1, columns, channels]);
      largest = largest ? tf.maximum(largest, entry) : entry;
    }
  }
  return tf.reshape(largest!, [batch, rows, columns, channels]);
};

function applyLayer(layer: LayerPlan, input: tf.Tensor, options: ForwardOptions): tf.Tensor {
  switch (layer.kind) {
    case 'conv':
      return applyConvolution(layer, input as tf.Tensor4D, options);
    case 'averagePool':
    case 'dropout':
    case 'fork':
    case 'join':
      throw internalError(`this engine has no ${layer.kind}`);
    case 'maxPool':
      return applyMaxPool(layer, input as tf.Tensor4D, options);
    case 'flatten':
      return flatten(input);
    case 'dense':
      return applyDense(layer, input as tf.Tensor2D, options);
    case 'batchNorm':
      return applyBatchNorm(layer, input, options);
  }
}

/** The weight is turned within the differentiated function, so its gradient comes back as OIHW. */
function applyConvolution(layer: ConvPlan, input_BHWC: tf.Tensor4D, { parameterOf }: ForwardOptions): tf.Tensor {
  const weight_OIHW = parameterOf(layer.weight) as tf.Tensor4D;
  const weight_HWIO = tf.transpose(weight_OIHW, [2, 3, 1, 0]);
  return addBias(tf.conv2d(input_BHWC, weight_HWIO, 1, 'valid'), parameterOf(layer.bias), layer.relu);
}

function applyDense(layer: DensePlan, input_BI: tf.Tensor2D, { parameterOf }: ForwardOptions): tf.Tensor {
  const weight_IO = parameterOf(layer.weight) as tf.Tensor2D;
  return addBias(tf.matMul(input_BI, weight_IO), parameterOf(layer.bias), layer.relu);
}

/** The derivative of `tf.relu` at 0 is 0. */
function addBias(product: tf.Tensor, bias_O: tf.Tensor, relu: boolean): tf.Tensor {
  const sum = tf.add(product, bias_O);
  return relu ? tf.relu(sum) : sum;
}

/** A pool of one changes nothing. */
function applyMaxPool({ size }: MaxPoolPlan, input_BHWC: tf.Tensor4D, { maxPool }: ForwardOptions): tf.Tensor {
  return size === 1 ? input_BHWC : maxPool(input_BHWC, size);
}

/** y = (x - mean) (gamma / sqrt(variance + epsilon)) + beta, feature by feature. */
function applyBatchNorm(layer: BatchNormPlan, input: tf.Tensor, options: ForwardOptions): tf.Tensor {
  const { mean, variance } = options.statisticsOf(layer, input);
  const [gamma, beta] = [options.parameterOf(layer.gamma), options.parameterOf(layer.beta)];
  const scale = tf.mul(gamma, tf.rsqrt(tf.add(variance, BATCH_NORM_EPSILON)));
  return tf.add(tf.mul(tf.sub(input, mean), scale), beta);
}

/** [B, F] from BHWC, in channel, row, column order; what is flat already stays. */
function flatten(input: tf.Tensor): tf.Tensor {
  if (input.rank === 2) return input;
  const [batch, height, width, channels] = input.shape as [number, number, number, number];
  // With one channel the order is right as it is.
  const ordered = channels === 1 ? input : tf.transpose(input, [0, 3, 1, 2]);
  return tf.reshape(ordered, [batch, channels * height * width]);
}

function toChannelsLast(images_BCHW: tf.Tensor4D): tf.Tensor4D {
  const [batch, channels, height, width] = images_BCHW.shape;
  if (channels === 1) return tf.reshape(images_BCHW, [batch, height, width, 1]);
  return tf.transpose(images_BCHW, [0, 2, 3, 1]);
}
