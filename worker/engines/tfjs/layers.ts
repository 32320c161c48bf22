/**
 * The layers of a ModelPlan as TensorFlow.js operations, for its autodiff to go through. Nothing here derives a
 * gradient; of several ways to write a layer, the one is taken whose derivative is right at edges and ties.
 *
 * Axes: B batch, C channels, H rows, W columns, F features, I in, O out, K classes. TensorFlow is channels-last:
 * feature maps are BHWC within, while images come as BCHW, weights as OIHW, and a map is flattened in CHW order.
 */
import * as tf from '@tensorflow/tfjs';
import type { Padding } from '../../../protocol/state/layer-plan.ts';
import {
  BATCH_NORM_EPSILON,
  type LayerPlan,
  type ModelPlan,
  type TensorSlot,
} from '../../../protocol/state/model-spec.ts';

export type BatchNormPlan = Extract<LayerPlan, { kind: 'batchNorm' }>;
type ConvPlan = Extract<LayerPlan, { kind: 'conv' }>;
type DensePlan = Extract<LayerPlan, { kind: 'dense' }>;
export type DropoutPlan = Extract<LayerPlan, { kind: 'dropout' }>;
type AveragePoolPlan = Extract<LayerPlan, { kind: 'averagePool' }>;
type JoinPlan = Extract<LayerPlan, { kind: 'join' }>;
type MaxPoolPlan = Extract<LayerPlan, { kind: 'maxPool' }>;
/** What has one input: all but the two ends of a residual block. */
type SequentialPlan = Exclude<LayerPlan, { kind: 'fork' | 'join' }>;

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
  /**
   * What each value of a dropout layer is multiplied by, [B, ...shape]: 0, or 1 / (1 - rate). Without it all values stay,
   * as in evaluation.
   */
  readonly dropoutFactorsOf?: (layer: DropoutPlan) => tf.Tensor;
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
  // What went into the residual blocks that are open, the innermost last.
  const forked: tf.Tensor[] = [];
  for (const layer of plan.layers) {
    if (layer.kind === 'fork') forked.push(values);
    else if (layer.kind === 'join') values = applyJoin(layer, values, forked.pop()!);
    else values = applyLayer(layer, values, options);
  }
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

function applyLayer(layer: SequentialPlan, input: tf.Tensor, options: ForwardOptions): tf.Tensor {
  switch (layer.kind) {
    case 'conv':
      return applyConvolution(layer, input as tf.Tensor4D, options);
    case 'maxPool':
      return applyMaxPool(layer, input as tf.Tensor4D, options);
    case 'averagePool':
      return applyAveragePool(layer, input as tf.Tensor4D);
    case 'flatten':
      return flatten(input);
    case 'dense':
      return applyDense(layer, input as tf.Tensor2D, options);
    case 'batchNorm':
      return applyBatchNorm(layer, input, options);
    case 'dropout':
      return applyDropout(layer, input, options);
  }
}

/**
 * The weight is turned within the differentiated function, so its gradient comes back as OIHW. Zeros are put around the
 * map by an operation of their own: the wasm kernels for the gradients of a convolution take no padding.
 */
function applyConvolution(layer: ConvPlan, input_BHWC: tf.Tensor4D, { parameterOf }: ForwardOptions): tf.Tensor {
  const weight_OIHW = parameterOf(layer.weight) as tf.Tensor4D;
  const weight_HWIO = tf.transpose(weight_OIHW, [2, 3, 1, 0]);
  const padded_BHWC = padMap(input_BHWC, layer.padding);
  const product = tf.conv2d(padded_BHWC, weight_HWIO, layer.stride, 'valid');
  return addBias(product, parameterOf(layer.bias), layer.relu);
}

function padMap(input_BHWC: tf.Tensor4D, { top, left, bottom, right }: Padding): tf.Tensor4D {
  if (Math.max(top, left, bottom, right) === 0) return input_BHWC;
  return tf.pad(input_BHWC, [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
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

/**
 * The mean of each window: of its rows first, then of its columns. On wasm the gradient of `tf.avgPool` is as fast for
 * small windows, and takes ten times as long for a whole map.
 */
function applyAveragePool(layer: AveragePoolPlan, input_BHWC: tf.Tensor4D): tf.Tensor {
  const [batch, height, width, channels] = input_BHWC.shape;
  const [, outputHeight, outputWidth] = layer.outputShape as [number, number, number];
  const [rows, columns] = layer.window;
  const filled = [batch, outputHeight * rows, outputWidth * columns, channels] as const;
  const isFilled = height === filled[1] && width === filled[2];
  const windows = isFilled ? input_BHWC : tf.slice(input_BHWC, [0, 0, 0, 0], [...filled]);
  const rowMeans = tf.mean(tf.reshape(windows, [batch * outputHeight, rows, filled[2] * channels]), 1);
  const means = tf.mean(tf.reshape(rowMeans, [batch * outputHeight * outputWidth, columns, channels]), 1);
  return tf.reshape(means, [batch, outputHeight, outputWidth, channels]);
}

/** y = x times the factors, in the layout of x. */
function applyDropout(layer: DropoutPlan, input: tf.Tensor, { dropoutFactorsOf }: ForwardOptions): tf.Tensor {
  if (!dropoutFactorsOf) return input;
  const factors = dropoutFactorsOf(layer);
  return tf.mul(input, factors.rank === 4 ? toChannelsLast(factors as tf.Tensor4D) : factors);
}

/** What went into a residual block plus what its layers made of it, then ReLU where the block has one. */
function applyJoin({ relu }: JoinPlan, input: tf.Tensor, forked: tf.Tensor): tf.Tensor {
  const sum = tf.add(input, forked);
  return relu ? tf.relu(sum) : sum;
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
