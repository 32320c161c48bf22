/** Lays out a model's layers: follows the shape of one sample from layer to layer, and gives each tensor its slot. */
import { ConfigError } from '../errors.ts';
import type { LayerPlan, Padding } from './layer-plan.ts';
import type { LayerSpec } from './layer-spec.ts';
import { appendSlot, product, type TensorSlot } from './tensor-slot.ts';

/** What of a model's spec its layers' plans depend on. */
interface LayersOf {
  readonly name: string;
  readonly input: readonly number[];
  readonly layers: readonly LayerSpec[];
}

interface LaidOut {
  readonly layers: LayerPlan[];
  readonly parameters: TensorSlot[];
  readonly buffers: TensorSlot[];
  readonly numDropoutUnits: number;
}

/** A layer's plan before it is known where the layer stands. */
type Unplaced<T> = T extends unknown ? Omit<T, 'place'> : never;
type UnplacedPlan = Unplaced<LayerPlan>;

type SimpleLayer = Exclude<LayerSpec, { kind: 'residual' }>;
type Shape = readonly number[];

/** The layers of `spec` with their shapes and slots. Throws `ConfigError` naming the layer that does not fit. */
export function planLayers(spec: LayersOf): LaidOut {
  const layers: LayerPlan[] = [];
  const planner = createPlanner();
  let shape: Shape = spec.input;

  const addLayer = (layer: LayerSpec, number: string): void => {
    const place = `${number} (${layer.kind})`;
    const fail = (expected: string): never => {
      throw new ConfigError(`model ${spec.name}: layer ${place} needs ${expected}, got [${shape.join(', ')}]`);
    };
    const add = (plan: UnplacedPlan): void => {
      layers.push({ ...plan, place });
      shape = plan.outputShape;
    };
    if (layer.kind !== 'residual') {
      planner.plansOf(layer, shape, fail).forEach(add);
      return;
    }
    const forked = shape;
    add({ kind: 'fork', inputShape: shape, outputShape: shape });
    layer.layers.forEach((inner, index) => addLayer(inner, `${number}.${index + 1}`));
    if (shape.join() !== forked.join()) fail(`layers that give [${forked.join(', ')}], the shape of its input`);
    add({ kind: 'join', inputShape: shape, outputShape: shape, relu: layer.activation === 'relu' });
  };

  spec.layers.forEach((layer, index) => addLayer(layer, String(index + 1)));
  return { layers, ...planner.totals() };
}

/** Plans one layer after the other; tensors and dropout units follow each other in that order. */
function createPlanner() {
  const parameters: TensorSlot[] = [];
  const buffers: TensorSlot[] = [];
  const seen = { conv: 0, dense: 0, norm: 0 };
  let numDropoutUnits = 0;

  const plansOf = (layer: SimpleLayer, inputShape: Shape, fail: (expected: string) => never): UnplacedPlan[] => {
    switch (layer.kind) {
      case 'conv': {
        const { kernel, filters, stride = 1 } = layer;
        const relu = layer.activation === 'relu';
        const [channels, height, width] = mapShapeOf(inputShape, fail);
        const padding = paddingOf(layer, height, width);
        const rows = numWindows(height + padding.top + padding.bottom, kernel, stride);
        const columns = numWindows(width + padding.left + padding.right, kernel, stride);
        if (Math.min(rows, columns) < 1) fail(`a map of at least ${kernel}x${kernel}`);
        const outputShape = [filters, rows, columns];
        const name = `conv${++seen.conv}`;
        const weight = appendSlot(parameters, `${name}.weight`, [filters, channels, kernel, kernel]);
        const bias = appendSlot(parameters, `${name}.bias`, [filters]);
        return [{ kind: 'conv', inputShape, outputShape, relu, kernel, stride, padding, weight, bias }];
      }
      case 'maxPool':
      case 'averagePool': {
        const { size } = layer;
        const [channels, height, width] = mapShapeOf(inputShape, fail);
        if (Math.min(height, width) < size) fail(`a map of at least ${size}x${size}`);
        // Rows and columns that do not fill a window are ignored, as every framework does by default.
        const outputShape = [channels, Math.floor(height / size), Math.floor(width / size)];
        if (layer.kind === 'maxPool') return [{ kind: 'maxPool', inputShape, outputShape, size }];
        return [{ kind: 'averagePool', inputShape, outputShape, window: [size, size] }];
      }
      case 'globalAveragePool': {
        const [channels, height, width] = mapShapeOf(inputShape, fail);
        const outputShape = [channels, 1, 1];
        return [
          { kind: 'averagePool', inputShape, outputShape, window: [height, width] },
          { kind: 'flatten', inputShape: outputShape, outputShape: [channels] },
        ];
      }
      case 'flatten':
        return [{ kind: 'flatten', inputShape, outputShape: [product(inputShape)] }];
      case 'dense': {
        if (inputShape.length !== 1) fail('a flat sample (put a flatten layer before it)');
        const relu = layer.activation === 'relu';
        const outputShape = [layer.units];
        const name = `dense${++seen.dense}`;
        const weight = appendSlot(parameters, `${name}.weight`, [inputShape[0]!, layer.units]);
        const bias = appendSlot(parameters, `${name}.bias`, outputShape);
        return [{ kind: 'dense', inputShape, outputShape, relu, weight, bias }];
      }
      case 'batchNorm': {
        const features = [inputShape[0]!];
        const name = `norm${++seen.norm}`;
        const gamma = appendSlot(parameters, `${name}.gamma`, features);
        const beta = appendSlot(parameters, `${name}.beta`, features);
        const mean = appendSlot(buffers, `${name}.mean`, features);
        const variance = appendSlot(buffers, `${name}.variance`, features);
        return [{ kind: 'batchNorm', inputShape, outputShape: inputShape, gamma, beta, mean, variance }];
      }
      case 'dropout': {
        const firstUnit = numDropoutUnits;
        numDropoutUnits += product(inputShape);
        return [{ kind: 'dropout', inputShape, outputShape: inputShape, rate: layer.rate, firstUnit }];
      }
    }
  };

  return { plansOf, totals: () => ({ parameters, buffers, numDropoutUnits }) };
}

function mapShapeOf(shape: Shape, fail: (expected: string) => never): readonly [number, number, number] {
  if (shape.length !== 3) fail('a feature map [channels, height, width] (no flatten before it)');
  return shape as unknown as readonly [number, number, number];
}

/** How many windows fit along a side. */
function numWindows(side: number, kernel: number, stride: number): number {
  return Math.floor((side - kernel) / stride) + 1;
}

/**
 * Zeros around a map. With `same`, ceil(side / stride) windows fit; an odd row or column is put behind, as TensorFlow's
 * SAME and ONNX's SAME_UPPER do.
 */
function paddingOf(layer: Extract<LayerSpec, { kind: 'conv' }>, height: number, width: number): Padding {
  const { padding = 'valid', kernel, stride = 1 } = layer;
  if (padding === 'valid') return { top: 0, left: 0, bottom: 0, right: 0 };
  const missing = (side: number): number => Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side);
  const [rows, columns] = [missing(height), missing(width)];
  const [top, left] = [Math.floor(rows / 2), Math.floor(columns / 2)];
  return { top, left, bottom: rows - top, right: columns - left };
}
