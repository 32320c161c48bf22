/** The models that a run can name. To add one: an entry here; the contract tests run over every entry. */
import { FASHION_MNIST_SHAPE } from '../data/fashion-mnist.ts';
import type { ImageShape } from '../data/dataset.ts';
import type { LayerSpec, ModelSpec } from './model-spec.ts';

/** Dense layers of the given widths, each with ReLU and then batch norm: the last one too, as in the homework. */
function head(...widths: number[]): LayerSpec[] {
  return widths.flatMap((units): LayerSpec[] => [{ kind: 'dense', units, activation: 'relu' }, { kind: 'batchNorm' }]);
}

const conv = (filters: number, kernel: number): LayerSpec => ({ kind: 'conv', filters, kernel, activation: 'relu' });
const pool: LayerSpec = { kind: 'maxPool', size: 2 };
const flatten: LayerSpec = { kind: 'flatten' };

/** The layers of each model for `numClasses` classes. */
const LAYERS = {
  dense: (numClasses: number) => [flatten, ...head(120, 84, numClasses)],
  conv: (numClasses: number) => [conv(6, 5), conv(16, 3), flatten, ...head(120, 84, numClasses)],
  'conv-pool': (numClasses: number) => [conv(6, 5), pool, conv(16, 3), pool, flatten, ...head(120, 84, numClasses)],
  'conv-matched': (numClasses: number) => [conv(6, 5), conv(6, 3), flatten, ...head(35, 84, numClasses)],
  'conv-pool-matched': (numClasses: number) => [
    ...[conv(6, 5), pool, conv(24, 3), pool, flatten],
    ...head(150, 84, numClasses),
  ],
} satisfies Record<string, (numClasses: number) => LayerSpec[]>;

export type ModelName = keyof typeof LAYERS;

export const MODEL_NAMES = Object.keys(LAYERS) as ModelName[];

export function isModelName(text: string): text is ModelName {
  return Object.hasOwn(LAYERS, text);
}

/** A named model for images of a shape and a number of classes. */
export function modelFor(name: ModelName, input: ImageShape, numClasses: number): ModelSpec {
  return { name, input: [...input], numClasses, layers: LAYERS[name](numClasses) };
}

/** The models for Fashion-MNIST. `*-matched` have about as many parameters as `dense`. */
export const MODELS = {
  /** 105,642 parameters. */
  dense: modelFor('dense', FASHION_MNIST_SHAPE, 10),
  /** 941,878 parameters. */
  conv: modelFor('conv', FASHION_MNIST_SHAPE, 10),
  /** 60,598 parameters. */
  'conv-pool': modelFor('conv-pool', FASHION_MNIST_SHAPE, 10),
  /** 106,293 parameters. */
  'conv-matched': modelFor('conv-matched', FASHION_MNIST_SHAPE, 10),
  /** 105,648 parameters. */
  'conv-pool-matched': modelFor('conv-pool-matched', FASHION_MNIST_SHAPE, 10),
} satisfies Record<ModelName, ModelSpec>;
