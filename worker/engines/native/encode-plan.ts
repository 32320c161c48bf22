/** A model's plan as the native addon reads it: rows of numbers, one a layer of network.h. */
import type { LayerPlan, ModelPlan } from '../../../protocol/state/model-spec.ts';
import { dropoutScale } from '../dropout.ts';

/** The kinds of network.h, by their numbers there. A pad has no layer of its own in the plan: it goes before a convolution. */
const KINDS = ['conv', 'maxPool', 'dense', 'batchNorm', 'averagePool', 'dropout', 'fork', 'join', 'pad'] as const;

/** A row by the names of the fields of `LayerPlan` in network.h, in their order; each is 0 where a kind does not have it. */
const FIELDS = {
  kind: 0,
  relu: 0,
  channels: 1,
  height: 1,
  width: 1,
  /** Kernel, or window of a max pool. */
  size: 0,
  /** Filters or units. */
  outputs: 0,
  /** Offsets of weight and bias, or gamma and beta. */
  weight: 0,
  bias: 0,
  mean: 0,
  variance: 0,
  stride: 1,
  /** An average pool's window, or the map with its padding. */
  rows: 0,
  columns: 0,
  /** Zeros before the map. */
  top: 0,
  left: 0,
  /** Of a join: the row of its fork. */
  fork: 0,
  firstUnit: 0,
  /** The bits of a float32: they are a positive integer. */
  scale: 0,
};

type Row = typeof FIELDS;

/** Rows of as many numbers as {@link FIELDS} has. Flatten has no row: the kernels keep maps in their flattened order. */
export function encodePlan(plan: ModelPlan): Int32Array {
  const rows: Row[] = [];
  const openForks: number[] = [];
  for (const layer of plan.layers) {
    if (layer.kind === 'fork') openForks.push(rows.length);
    const fork = layer.kind === 'join' ? openForks.pop()! : 0;
    rows.push(...rowsOf(layer).map((row) => ({ ...FIELDS, ...row, fork })));
  }
  return Int32Array.from(rows.flatMap((row) => Object.values(row)));
}

function rowsOf(layer: LayerPlan): Partial<Row>[] {
  const [channels = 1, height = 1, width = 1] = layer.inputShape;
  const kind = KINDS.indexOf(layer.kind as (typeof KINDS)[number]);
  const row = { kind, channels, height, width };
  switch (layer.kind) {
    case 'conv': {
      const { kernel, stride, padding, relu, outputShape } = layer;
      const { top, left, bottom, right } = padding;
      const [rows, columns] = [height + top + bottom, width + left + right];
      const isPadded = rows > height || columns > width;
      const pad = { ...row, kind: KINDS.indexOf('pad'), rows, columns, top, left };
      const slots = { weight: layer.weight.offset, bias: layer.bias.offset };
      const conv = { kind, relu: Number(relu), channels, height: rows, width: columns, size: kernel, stride, ...slots };
      return [...(isPadded ? [pad] : []), { ...conv, outputs: outputShape[0]! }];
    }
    case 'maxPool':
      return [{ ...row, size: layer.size }];
    case 'averagePool':
      return [{ ...row, rows: layer.window[0], columns: layer.window[1] }];
    case 'flatten':
      return [];
    case 'dense': {
      const slots = { weight: layer.weight.offset, bias: layer.bias.offset };
      return [{ ...row, relu: Number(layer.relu), outputs: layer.outputShape[0]!, ...slots }];
    }
    case 'batchNorm': {
      const { gamma, beta, mean, variance } = layer;
      const slots = { weight: gamma.offset, bias: beta.offset, mean: mean.offset, variance: variance.offset };
      return [{ ...row, ...slots }];
    }
    case 'dropout': {
      const scale = new Int32Array(Float32Array.of(dropoutScale(layer)).buffer)[0]!;
      return [{ ...row, firstUnit: layer.firstUnit, scale }];
    }
    case 'fork':
      return [row];
    case 'join':
      return [{ ...row, relu: Number(layer.relu) }];
  }
}
