/** Pooling and flattening of feature maps as ONNX operators. Layouts as in `layers.ts`: the batch is the last axis. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import type { GraphLayer, LayerContext } from './layers.ts';
import { partOfMap, windowSlices, type MapShape } from './windows.ts';

/**
 * The maximum over each window, as the maximum of strided slices: slice (i, j) holds entry (i, j) of every window.
 * (MaxPool with Indices is slower, and WebGPU has no kernel for it.)
 */
export function maxPoolLayer(
  layer: Extract<LayerPlan, { kind: 'maxPool' }>,
  x_CHWB: Value,
  { graph }: LayerContext,
): GraphLayer {
  const [, height, width] = layer.inputShape as MapShape;
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
      return partOfMap(graph, windows, [outputHeight * k, outputWidth * k], { top: 0, left: 0, height, width });
    },
  };
}

/**
 * The mean over each window: of the rows of a window first, then of its columns, each as the mean of a middle axis.
 *
 * An entry moves its window's mean by 1 / (rows x columns), so it takes this share of the upstream gradient.
 */
export function averagePoolLayer(
  layer: Extract<LayerPlan, { kind: 'averagePool' }>,
  x_CHWB: Value,
  { graph }: LayerContext,
): GraphLayer {
  const [channels, height, width] = layer.inputShape as MapShape;
  const [, outputHeight, outputWidth] = layer.outputShape as MapShape;
  const [rows, columns] = layer.window;
  const filled = [outputHeight * rows, outputWidth * columns] as const;
  // The axis after the window's rows is all that a row holds; after its columns, the batch.
  const asRows = [channels * outputHeight, rows, -1];
  const asColumns = [channels * outputHeight * outputWidth, columns, -1];
  const meanOf = (value: Value): Value => graph.op('ReduceMean', [value], { axes: [1], keepdims: 0 });

  const windows = partOfMap(graph, x_CHWB, [height, width], { top: 0, left: 0, height: filled[0], width: filled[1] });
  const rowMeans = meanOf(graph.reshape(windows, asRows));
  const means = meanOf(graph.reshape(rowMeans, asColumns));

  return {
    output: graph.reshape(means, [channels, outputHeight, outputWidth, -1]),
    pullback: (upstream) => () => {
      const share = graph.op('Mul', [upstream, graph.scalar(1 / (rows * columns))]);
      const repeat = (value: Value, [first, times]: readonly number[]): Value =>
        graph.op('Expand', [graph.reshape(value, [first!, 1, -1]), graph.ints([1, times!, 1])]);
      const windowGradients = repeat(repeat(share, asColumns), asRows);
      const filled_CHWB = graph.reshape(windowGradients, [channels, ...filled, -1]);
      return partOfMap(graph, filled_CHWB, filled, { top: 0, left: 0, height, width });
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

/** Puts the entries of `parts` next to each other along a new `axis`, then takes that axis into the one before it. */
function interleave(graph: GraphBuilder, parts: readonly Value[], axis: number, shape: readonly number[]): Value {
  const withAxis = parts.map((part) => graph.op('Unsqueeze', [part, graph.ints([axis])]));
  return graph.reshape(graph.op('Concat', withAxis, { axis }), shape);
}
