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
import type { LayerPlan } from './layer-plan.ts';
import { countSchema, layerSchema } from './layer-spec.ts';
import { planLayers } from './plan-layers.ts';
import { product, totalSize, type TensorSlot } from './tensor-slot.ts';

export type { LayerPlan } from './layer-plan.ts';
export type { LayerSpec } from './layer-spec.ts';
export { product, type TensorSlot } from './tensor-slot.ts';

export const modelSpecSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, "." "_" "-", at most 64'),
  /** [channels, height, width] of one image. */
  input: z.tuple([countSchema, countSchema, countSchema]),
  numClasses: countSchema,
  layers: z.array(layerSchema).min(1).max(100),
});

export type ModelSpec = z.infer<typeof modelSpecSchema>;

/** Batch norm's epsilon, added to the variance under the root. */
export const BATCH_NORM_EPSILON = 1e-5;
/** Running statistics: new = 0.9 old + 0.1 batch. */
export const BATCH_NORM_MOMENTUM = 0.9;
/** 4 GiB of float32: beyond this a flat vector is refused. */
const MAX_PARAMETERS = 1 << 30;

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
  /** Values of one sample that pass a dropout layer, over all such layers. */
  readonly numDropoutUnits: number;
}

/**
 * Checks a spec and lays it out. Tensor names count each kind from one: `conv1.weight`, `dense2.bias`, `norm1.gamma`.
 *
 * Throws `ConfigError` naming the layer when shapes do not fit.
 */
export function planModel(spec: ModelSpec): ModelPlan {
  const { layers, parameters, buffers, numDropoutUnits } = planLayers(spec);
  const shape = layers.at(-1)!.outputShape;
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
  const inputSize = product(spec.input);
  return { spec, layers, parameters, buffers, numParameters, numBuffers, inputSize, numDropoutUnits };
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
