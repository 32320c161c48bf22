/** The models that a run can name. To add one: an entry here; the contract tests run over every entry. */
import type { LayerSpec, ModelSpec } from './model-spec.ts';

/** Dense layers of the given widths, each with ReLU and then batch norm: the last one too, as in the homework. */
function head(...widths: number[]): LayerSpec[] {
  return widths.flatMap((units): LayerSpec[] => [{ kind: 'dense', units, activation: 'relu' }, { kind: 'batchNorm' }]);
}

const conv = (filters: number, kernel: number): LayerSpec => ({ kind: 'conv', filters, kernel, activation: 'relu' });
const pool: LayerSpec = { kind: 'maxPool', size: 2 };
const flatten: LayerSpec = { kind: 'flatten' };

function fashionModel(name: string, layers: LayerSpec[]): ModelSpec {
  return { name, input: [1, 28, 28], numClasses: 10, layers };
}

export const MODELS = {
  /** 105,642 parameters. */
  dense: fashionModel('dense', [flatten, ...head(120, 84, 10)]),
  /** 941,878 parameters. */
  conv: fashionModel('conv', [conv(6, 5), conv(16, 3), flatten, ...head(120, 84, 10)]),
  /** 60,598 parameters. */
  'conv-pool': fashionModel('conv-pool', [conv(6, 5), pool, conv(16, 3), pool, flatten, ...head(120, 84, 10)]),
  /** `conv` with about as many parameters as `dense`: 106,293. */
  'conv-matched': fashionModel('conv-matched', [conv(6, 5), conv(6, 3), flatten, ...head(35, 84, 10)]),
  /** `conv-pool` with about as many parameters as `dense`: 105,648. */
  'conv-pool-matched': fashionModel('conv-pool-matched', [
    ...[conv(6, 5), pool, conv(24, 3), pool, flatten],
    ...head(150, 84, 10),
  ]),
} satisfies Record<string, ModelSpec>;

export type ModelName = keyof typeof MODELS;

export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];
