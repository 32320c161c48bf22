/**
 * A model as Keras layers, as TensorFlow.js keeps them: a functional model, whose layers name those that they follow.
 *
 * TensorFlow.js has channels last: maps are [height, width, channels], kernels [rows, columns, channels, filters]. A map
 * is flattened in row, column, channel order, and ours in channel, row, column order. So the weights behind a flatten
 * are put in its order; where none is right behind, the map's axes are put in ours before it is flattened.
 */
import { BATCH_NORM_EPSILON } from '../../protocol/state/model-spec.ts';
import type { TensorSlot } from '../../protocol/state/model-spec.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import type { InputKind } from './exported-model.ts';
import { nameLayers } from './layer-names.ts';
import type { NamedLayer } from './layer-names.ts';
import { transpose, valuesOf } from './tensors.ts';

/** A layer in a functional model's configuration. */
export interface KerasLayer {
  readonly class_name: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** For one call: [layer, number of its call, number of its output, arguments] of each input. */
  readonly inbound_nodes: readonly (readonly (readonly [string, 0, 0, object])[])[];
}

/** `name`: as Keras has it, "conv1/kernel". */
export interface KerasWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

export interface KerasModel {
  readonly layers: readonly KerasLayer[];
  readonly weights: readonly KerasWeight[];
}

export const [INPUT_LAYER, OUTPUT_LAYER] = ['images', 'probabilities'] as const;

/** [C, H, W] of the map that was flattened into what is at hand; undefined where its order is ours. */
type FlattenedMap = readonly number[] | undefined;

interface Walk {
  readonly model: ModelFile;
  readonly layers: KerasLayer[];
  readonly weights: KerasWeight[];
  /** The layer whose output is at hand. */
  current: string;
  flattened: FlattenedMap;
  /** Layers whose outputs the open residual blocks began with. */
  readonly forks: string[];
}

export function buildKerasModel(model: ModelFile, inputKind: InputKind): KerasModel {
  const [channels, height, width] = model.plan.spec.input;
  const walk: Walk = { model, layers: [], weights: [], current: '', flattened: undefined, forks: [] };
  const shape = [null, height, width, channels];
  add(walk, 'InputLayer', INPUT_LAYER, { batch_input_shape: shape, dtype: 'float32', sparse: false }, []);
  if (inputKind === 'bytes') add(walk, 'Rescaling', 'scaled', { scale: 1 / 255, offset: 0 });
  const layers = nameLayers(model.plan.layers);
  layers.forEach((layer, index) => addLayer(walk, layer, layers.slice(index + 1)));
  add(walk, 'Activation', OUTPUT_LAYER, { activation: 'softmax' });
  return walk;
}

/** Adds a layer behind `inputs`. Default: behind the one at hand. */
function add(walk: Walk, className: string, name: string, config: object, inputs: readonly string[] = [walk.current]) {
  const inbound = inputs.map((input) => [input, 0, 0, {}] as const);
  walk.layers.push({
    class_name: className,
    name,
    config: { name, trainable: true, ...config },
    inbound_nodes: inputs.length === 0 ? [] : [inbound],
  });
  walk.current = name;
}

function addLayer(walk: Walk, layer: NamedLayer, following: readonly NamedLayer[]): void {
  const { name } = layer;
  const activation = 'relu' in layer && layer.relu ? 'relu' : 'linear';
  switch (layer.kind) {
    case 'conv': {
      const { kernel, stride, padding } = layer;
      // The plan's padding, where it has any, is that of `same`.
      const isPadded = Object.values(padding).some((side) => side > 0);
      const [filters, channels] = layer.weight.shape;
      add(walk, 'Conv2D', name, {
        filters,
        kernel_size: [kernel, kernel],
        strides: [stride, stride],
        padding: isPadded ? 'same' : 'valid',
        data_format: 'channels_last',
        dilation_rate: [1, 1],
        activation,
        use_bias: true,
      });
      addWeight(walk, `${name}/kernel`, {
        shape: [kernel, kernel, channels!, filters!],
        values: transpose(valuesOf(walk.model, layer.weight), layer.weight.shape, [2, 3, 1, 0]),
      });
      addSlot(walk, `${name}/bias`, layer.bias);
      return;
    }
    case 'maxPool':
      add(walk, 'MaxPooling2D', name, poolConfig([layer.size, layer.size]));
      return;
    case 'averagePool':
      add(walk, 'AveragePooling2D', name, poolConfig(layer.window));
      return;
    case 'flatten': {
      // TensorFlow.js refuses to flatten what is flat.
      if (layer.inputShape.length === 1) return;
      const isReordered = layer.inputShape[0]! > 1 && layer.outputShape[0]! > layer.inputShape[0]!;
      const reachesDense = following.find(({ kind }) => !KEEPS_ORDER.has(kind))?.kind === 'dense';
      if (isReordered && reachesDense) walk.flattened = layer.inputShape;
      else if (isReordered) add(walk, 'Permute', `${name}_order`, { dims: [3, 1, 2] });
      add(walk, 'Flatten', name, { data_format: 'channels_last' });
      return;
    }
    case 'dense':
      add(walk, 'Dense', name, { units: layer.weight.shape[1]!, activation, use_bias: true });
      addUnits(walk, `${name}/kernel`, layer.weight);
      addSlot(walk, `${name}/bias`, layer.bias);
      walk.flattened = undefined;
      return;
    case 'batchNorm':
      add(walk, 'BatchNormalization', name, { axis: -1, epsilon: BATCH_NORM_EPSILON, center: true, scale: true });
      addUnits(walk, `${name}/gamma`, layer.gamma);
      addUnits(walk, `${name}/beta`, layer.beta);
      addUnits(walk, `${name}/moving_mean`, layer.mean);
      addUnits(walk, `${name}/moving_variance`, layer.variance);
      return;
    case 'dropout':
      add(walk, 'Dropout', name, { rate: layer.rate });
      return;
    case 'fork':
      walk.forks.push(walk.current);
      return;
    case 'join':
      add(walk, 'Add', name, {}, [walk.forks.pop()!, walk.current]);
      if (layer.relu) add(walk, 'Activation', `${name}_relu`, { activation });
      return;
  }
}

/** Layers that work on each unit of a flat sample by itself. */
const KEEPS_ORDER: ReadonlySet<NamedLayer['kind']> = new Set(['flatten', 'dropout', 'batchNorm']);

/** A tensor whose first axis is the units at hand: in the order in which TensorFlow.js has flattened them. */
function addUnits(walk: Walk, name: string, slot: TensorSlot): void {
  const { flattened } = walk;
  if (!flattened) {
    addSlot(walk, name, slot);
    return;
  }
  const [, ...rest] = slot.shape;
  const order = [1, 2, 0, ...rest.map((_, axis) => 3 + axis)];
  const values = transpose(valuesOf(walk.model, slot), [...flattened, ...rest], order);
  addWeight(walk, name, { shape: slot.shape, values });
}

/** A tensor as it is. */
function addSlot(walk: Walk, name: string, slot: TensorSlot): void {
  addWeight(walk, name, { shape: slot.shape, values: valuesOf(walk.model, slot) });
}

function addWeight(walk: Walk, name: string, tensor: Omit<KerasWeight, 'name'>): void {
  walk.weights.push({ name, ...tensor });
}

function poolConfig(window: readonly number[]) {
  return { pool_size: window, strides: window, padding: 'valid', data_format: 'channels_last' };
}
