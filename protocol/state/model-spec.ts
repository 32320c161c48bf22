/**
 * ModelSpec: a network as plain data, and what follows from it: shapes, the flat layout of its parameters and buffers,
 * and its seeded initial values. It computes nothing; engines do.
 *
 * Shapes leave the batch out: a feature map is [channels, height, width], a flattened sample [features]. A feature map
 * is flattened in channel, row, column order.
 */
import { z } from 'zod';
import { countOf } from '../counts.ts';
import { ConfigError } from '../errors.ts';
import { uniformFloats } from '../data/random.ts';

const count = z.int().min(1).max(1_000_000);
const activation = z.enum(['relu', 'none']);

/** Every layer kind. Convolutions are square, stride 1, without padding; pools do not overlap (stride = size). */
const layerSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('conv'), filters: count, kernel: count, activation: activation.default('relu') }),
  z.strictObject({ kind: z.literal('maxPool'), size: count }),
  z.strictObject({ kind: z.literal('flatten') }),
  z.strictObject({ kind: z.literal('dense'), units: count, activation: activation.default('relu') }),
  z.strictObject({ kind: z.literal('batchNorm') }),
]);

export const modelSpecSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, "." "_" "-", at most 64'),
  /** [channels, height, width] of one image. */
  input: z.tuple([count, count, count]),
  numClasses: count,
  layers: z.array(layerSchema).min(1).max(100),
});

export type LayerSpec = z.infer<typeof layerSchema>;
export type ModelSpec = z.infer<typeof modelSpecSchema>;

/** Batch norm's epsilon, added to the variance under the root. */
export const BATCH_NORM_EPSILON = 1e-5;
/** Running statistics: new = 0.9 old + 0.1 batch. */
export const BATCH_NORM_MOMENTUM = 0.9;
/** 4 GiB of float32: beyond this a flat vector is refused. */
const MAX_PARAMETERS = 1 << 30;

/** One tensor's place in a flat vector. `offset` and `size` are in elements. */
export interface TensorSlot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

interface LayerPlanBase {
  /** Shape of one sample before and after the layer, without the batch. */
  readonly inputShape: readonly number[];
  readonly outputShape: readonly number[];
}

/** A layer with its shapes and the slots of its tensors; what engines walk. */
export type LayerPlan = LayerPlanBase &
  (
    | {
        readonly kind: 'conv';
        readonly relu: boolean;
        readonly kernel: number;
        /** [filters, channels, kernel, kernel] */
        readonly weight: TensorSlot;
        /** [filters] */
        readonly bias: TensorSlot;
      }
    | { readonly kind: 'maxPool'; readonly size: number }
    | { readonly kind: 'flatten' }
    | {
        readonly kind: 'dense';
        readonly relu: boolean;
        /** [in, out] */
        readonly weight: TensorSlot;
        /** [out] */
        readonly bias: TensorSlot;
      }
    | {
        /** Features are channels of a feature map, or the units of a flat sample; the other axes are averaged over. */
        readonly kind: 'batchNorm';
        readonly gamma: TensorSlot;
        readonly beta: TensorSlot;
        /** Slots in the *buffers* vector (running values) and, at the same offsets, in a statistics vector. */
        readonly mean: TensorSlot;
        readonly variance: TensorSlot;
      }
  );

/** What a ModelSpec means: its layers with shapes, and the layout of its flat vectors. */
export interface ModelPlan {
  readonly spec: ModelSpec;
  readonly layers: readonly LayerPlan[];
  /** Learnt tensors, in layout order, without gaps. */
  readonly parameters: readonly TensorSlot[];
  /** Batch norm's running statistics, in layout order, without gaps. */
  readonly buffers: readonly TensorSlot[];
  readonly numParameters: number;
  readonly numBuffers: number;
  /** Elements of one input image: channels x height x width. */
  readonly inputSize: number;
}

/**
 * Checks a spec and lays it out. Tensor names count each kind from one: `conv1.weight`, `dense2.bias`, `norm1.gamma`.
 *
 * Throws `ConfigError` naming the layer when shapes do not fit.
 */
export function planModel(spec: ModelSpec): ModelPlan {
  const layers: LayerPlan[] = [];
  const parameters: TensorSlot[] = [];
  const buffers: TensorSlot[] = [];
  const seen = { conv: 0, dense: 0, norm: 0 };
  let shape: readonly number[] = spec.input;

  for (const [index, layer] of spec.layers.entries()) {
    const fail = (expected: string): never => {
      throw new ConfigError(
        `model ${spec.name}: layer ${index + 1} (${layer.kind}) needs ${expected}, got [${shape.join(', ')}]`,
      );
    };
    const [channels, height, width] = shape;
    const isMap = shape.length === 3;
    switch (layer.kind) {
      case 'conv': {
        if (!isMap) fail('a feature map [channels, height, width] (no flatten before it)');
        if (Math.min(height!, width!) < layer.kernel) fail(`a map of at least ${layer.kernel}x${layer.kernel}`);
        const name = `conv${++seen.conv}`;
        const weight = append(parameters, `${name}.weight`, [layer.filters, channels!, layer.kernel, layer.kernel]);
        const bias = append(parameters, `${name}.bias`, [layer.filters]);
        const outputShape = [layer.filters, height! - layer.kernel + 1, width! - layer.kernel + 1];
        const relu = layer.activation === 'relu';
        layers.push({ kind: 'conv', inputShape: shape, outputShape, relu, kernel: layer.kernel, weight, bias });
        break;
      }
      case 'maxPool': {
        if (!isMap) fail('a feature map [channels, height, width] (no flatten before it)');
        if (Math.min(height!, width!) < layer.size) fail(`a map of at least ${layer.size}x${layer.size}`);
        // Rows and columns that do not fill a window are ignored, as every framework does by default.
        const outputShape = [channels!, Math.floor(height! / layer.size), Math.floor(width! / layer.size)];
        layers.push({ kind: 'maxPool', inputShape: shape, outputShape, size: layer.size });
        break;
      }
      case 'flatten':
        layers.push({ kind: 'flatten', inputShape: shape, outputShape: [product(shape)] });
        break;
      case 'dense': {
        if (shape.length !== 1) fail('a flat sample (put a flatten layer before it)');
        const name = `dense${++seen.dense}`;
        const weight = append(parameters, `${name}.weight`, [shape[0]!, layer.units]);
        const bias = append(parameters, `${name}.bias`, [layer.units]);
        const relu = layer.activation === 'relu';
        layers.push({ kind: 'dense', inputShape: shape, outputShape: [layer.units], relu, weight, bias });
        break;
      }
      case 'batchNorm': {
        const name = `norm${++seen.norm}`;
        const features = [shape[0]!];
        const gamma = append(parameters, `${name}.gamma`, features);
        const beta = append(parameters, `${name}.beta`, features);
        const mean = append(buffers, `${name}.mean`, features);
        const variance = append(buffers, `${name}.variance`, features);
        layers.push({ kind: 'batchNorm', inputShape: shape, outputShape: shape, gamma, beta, mean, variance });
        break;
      }
    }
    shape = layers.at(-1)!.outputShape;
  }

  if (shape.length !== 1 || shape[0] !== spec.numClasses) {
    throw new ConfigError(
      `model ${spec.name}: the last layer must give [${spec.numClasses}], one output a class, got [${shape.join(', ')}]`,
    );
  }
  const numParameters = totalSize(parameters);
  if (numParameters === 0 || numParameters > MAX_PARAMETERS) {
    throw new ConfigError(
      `model ${spec.name}: ${countOf(numParameters, 'parameter')}, expected 1 to ${MAX_PARAMETERS}`,
    );
  }
  const numBuffers = totalSize(buffers);
  return { spec, layers, parameters, buffers, numParameters, numBuffers, inputSize: product(spec.input) };
}

/**
 * Initial parameters, flat float32 in layout order: weights Xavier-uniform, biases and beta 0, gamma 1.
 *
 *     w ~ U(-a, a),  a = sqrt(6 / (fanIn + fanOut))
 *
 * fanIn and fanOut of a convolution count its kernel: channels x k x k and filters x k x k. One stream of random
 * numbers feeds the weights in layout order, so a seed gives the same bits on every machine.
 * Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, eq. 16.
 */
export function initialParameters(plan: ModelPlan, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(plan.numParameters);
  const random = uniformFloats(seed);
  for (const slot of plan.parameters) {
    const into = values.subarray(slot.offset, slot.offset + slot.size);
    if (slot.name.endsWith('.weight')) {
      const bound = Math.sqrt(6 / fans(slot.shape));
      for (let i = 0; i < into.length; i++) into[i] = (2 * random() - 1) * bound;
    } else if (slot.name.endsWith('.gamma')) {
      into.fill(1);
    }
  }
  return values;
}

/** Initial running statistics, flat float32 in layout order: mean 0, variance 1. */
export function initialBuffers(plan: ModelPlan): Float32Array<ArrayBuffer> {
  const values = new Float32Array(plan.numBuffers);
  for (const slot of plan.buffers) {
    if (slot.name.endsWith('.variance')) values.fill(1, slot.offset, slot.offset + slot.size);
  }
  return values;
}

/** The part of a flat vector that a slot names; a view, not a copy. */
export function slotView(flat: Float32Array<ArrayBuffer>, slot: TensorSlot): Float32Array<ArrayBuffer> {
  return flat.subarray(slot.offset, slot.offset + slot.size);
}

/** fanIn + fanOut of a weight: [in, out], or [out, in, k, k]. */
function fans(shape: readonly number[]): number {
  const [a, b, ...kernel] = shape;
  return (a! + b!) * product(kernel);
}

function append(slots: TensorSlot[], name: string, shape: readonly number[]): TensorSlot {
  const slot = { name, shape, offset: totalSize(slots), size: product(shape) };
  slots.push(slot);
  return slot;
}

function totalSize(slots: readonly TensorSlot[]): number {
  const last = slots.at(-1);
  return last ? last.offset + last.size : 0;
}

/** Product of the sizes of a shape: its number of elements (1 for an empty shape). */
export function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
