/**
 * The layers of feature maps as ONNX operators: convolution, max pooling, flatten. Layouts as in `layers.ts`: the batch
 * is the last axis.
 *
 * Why: a window's slices are then runs of whole rows of samples, which copy several times faster than single pixels,
 * and the whole batch is one matrix product. Against the usual order (batch first) that took a third off a step of
 * `conv-pool` and an eighth off `conv`, on one thread of an AMD EPYC with ONNX Runtime 1.30.
 */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import { reluPullback, type GraphLayer, type LayerContext } from './layers.ts';

type MapShape = readonly [channels: number, height: number, width: number];

/** z = w * x + b over all windows, then ReLU where the layer has one. */
export function convolutionLayer(
  layer: Extract<LayerPlan, { kind: 'conv' }>,
  x_CHWB: Value,
  context: LayerContext,
): GraphLayer {
  const { graph } = context;
  const [channels, height, width] = layer.inputShape as MapShape;
  const [filters, outputHeight, outputWidth] = layer.outputShape as MapShape;
  const k = layer.kernel;
  const weight = context.parameter(layer.weight);

  // The batch is the third spatial axis of one three-dimensional image; the kernel is one sample deep. (On WebGPU,
  // ONNX Runtime 1.30 has a wrong two-dimensional Conv of 6, 9, 15, 18, ... channels and 4, 8, 12, ... filters: it reads
  // three channels at a time, but divides their index by 4, so it finds the first ones again. This one is right.)
  const image = graph.op('Unsqueeze', [x_CHWB, graph.ints([0])]);
  const kernel = graph.reshape(weight, [filters, channels, k, k, 1]);
  const z = graph.op('Conv', [image, kernel, context.parameter(layer.bias)]);
  const activation = layer.relu ? graph.op('Relu', [z]) : z;
  const output = graph.reshape(activation, [filters, outputHeight, outputWidth, -1]);

  return {
    output,
    pullback(upstream, emit) {
      const u_CHWB = layer.relu ? reluPullback(graph, upstream, output) : upstream;
      const u_CN = graph.reshape(u_CHWB, [filters, -1]);
      emit(layer.bias, graph.op('ReduceSum', [u_CN, graph.ints([1])], { keepdims: 0 }));

      const slices = windowSlices(graph, x_CHWB, [k, k], [outputHeight, outputWidth], 1);
      const windows = graph.op('Concat', slices, { axis: 0 });
      const product = windowProduct(graph, u_CHWB, windows, [filters, k * k * channels], outputHeight);
      emit(layer.weight, graph.transpose(graph.reshape(product, [filters, k, k, channels]), [0, 3, 1, 2]));

      return () => {
        // The transposed convolution is fast with the batch first only: there and back costs less than it saves.
        const u_FB = graph.reshape(u_CHWB, [filters * outputHeight * outputWidth, -1]);
        const u_BCHW = graph.reshape(graph.transpose(u_FB, [1, 0]), [-1, filters, outputHeight, outputWidth]);
        const dx_BCHW = graph.op('ConvTranspose', [u_BCHW, weight]);
        const dx_BF = graph.reshape(dx_BCHW, [-1, channels * height * width]);
        return graph.reshape(graph.transpose(dx_BF, [1, 0]), [channels, height, width, -1]);
      };
    },
  };
}

/**
 * u windows^T, a convolution's weight gradient: [filters, size], summed over every window of every sample.
 *
 * - `u_CHWB`: the gradient before the activation, [filters, outputHeight, outputWidth, B]
 * - `windows`: [size, outputHeight, outputWidth, B]
 *
 * On a CPU it is one matrix product. A GPU would give so small a result to one or two of its cores: there it is a
 * product for each row of the output, and their sum, which took a quarter off a step of `conv` on a software adapter.
 */
function windowProduct(
  graph: GraphBuilder,
  u_CHWB: Value,
  windows: Value,
  [filters, size]: readonly [number, number],
  outputHeight: number,
): Value {
  if (graph.target === 'cpu') {
    const windows_N = graph.reshape(windows, [size, -1]);
    return graph.op('MatMul', [graph.reshape(u_CHWB, [filters, -1]), graph.transpose(windows_N, [1, 0])]);
  }
  const u_HCN = graph.transpose(graph.reshape(u_CHWB, [filters, outputHeight, -1]), [1, 0, 2]);
  const windows_HN = graph.transpose(graph.reshape(windows, [size, outputHeight, -1]), [1, 2, 0]);
  return graph.op('ReduceSum', [graph.op('MatMul', [u_HCN, windows_HN]), graph.ints([0])], { keepdims: 0 });
}

/**
 * The maximum over each window, as the maximum of strided slices: slice (i, j) holds entry (i, j) of every window.
 * (MaxPool with Indices is slower, and WebGPU has no kernel for it.)
 */
export function maxPoolLayer(
  layer: Extract<LayerPlan, { kind: 'maxPool' }>,
  x_CHWB: Value,
  { graph }: LayerContext,
): GraphLayer {
  const [channels, outputHeight, outputWidth] = layer.outputShape as MapShape;
  const k = layer.size;
  const slices = windowSlices(graph, x_CHWB, [k, k], [outputHeight, outputWidth], k);
  const output = graph.op('Max', slices);

  return {
    output,
    pullback: (upstream) => () => {
      // The gradient goes to the first entry that equals the maximum: to those that equal it and come after no other.
      // (WebGPU has no kernel for Or.)
      let isOpen: Value | undefined;
      const gradients = slices.map((slice) => {
        const isMaximum = graph.op('Equal', [slice, output]);
        const isLess = graph.op('Not', [isMaximum]);
        const isFirst = isOpen === undefined ? isMaximum : graph.op('And', [isMaximum, isOpen]);
        isOpen = isOpen === undefined ? isLess : graph.op('And', [isOpen, isLess]);
        return graph.op('Mul', [upstream, graph.cast(isFirst, 'float32')]);
      });
      // Back in place: columns j of a window side by side, then its rows i, then the ignored rows and columns.
      const rows = Array.from({ length: k }, (_, i) =>
        interleave(graph, gradients.slice(i * k, (i + 1) * k), 3, [channels, outputHeight, outputWidth * k, -1]),
      );
      const windows = interleave(graph, rows, 2, [channels, outputHeight * k, outputWidth * k, -1]);
      return padToInput(graph, windows, layer.inputShape as MapShape, [outputHeight * k, outputWidth * k]);
    },
  };
}

/** A flattened sample is in channel, row, column order, as the map already is. */
export function flattenLayer(
  layer: Extract<LayerPlan, { kind: 'flatten' }>,
  x: Value,
  { graph }: LayerContext,
): GraphLayer {
  return {
    output: graph.reshape(x, [...layer.outputShape, -1]),
    pullback: (upstream) => () => graph.reshape(upstream, [...layer.inputShape, -1]),
  };
}

/**
 * For each place (i, j) in a window, row-major, the entry there of every window: [C, outputHeight, outputWidth, B].
 * Windows start `stride` apart.
 */
function windowSlices(
  graph: GraphBuilder,
  x_CHWB: Value,
  [windowHeight, windowWidth]: readonly [number, number],
  [outputHeight, outputWidth]: readonly [number, number],
  stride: number,
): Value[] {
  const slices: Value[] = [];
  for (let i = 0; i < windowHeight; i++) {
    for (let j = 0; j < windowWidth; j++) {
      const ends = [i + (outputHeight - 1) * stride + 1, j + (outputWidth - 1) * stride + 1];
      const bounds = [[i, j], ends, [1, 2], [stride, stride]].map((values) => graph.ints(values));
      slices.push(graph.op('Slice', [x_CHWB, ...bounds]));
    }
  }
  return slices;
}

/** Puts the entries of `parts` next to each other along a new `axis`, then takes that axis into the one before it. */
function interleave(graph: GraphBuilder, parts: readonly Value[], axis: number, shape: readonly number[]): Value {
  const withAxis = parts.map((part) => graph.op('Unsqueeze', [part, graph.ints([axis])]));
  return graph.reshape(graph.op('Concat', withAxis, { axis }), shape);
}

/** Zeros in the rows and columns that fill no window. */
function padToInput(
  graph: GraphBuilder,
  value_CHWB: Value,
  [, height, width]: MapShape,
  [filledHeight, filledWidth]: readonly [number, number],
): Value {
  if (filledHeight === height && filledWidth === width) return value_CHWB;
  const pads = [0, 0, 0, 0, 0, height - filledHeight, width - filledWidth, 0];
  return graph.op('Pad', [value_CHWB, graph.ints(pads)]);
}
