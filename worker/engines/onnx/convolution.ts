/**
 * Convolution as ONNX operators: any stride, zeros around the map. Layouts as in `layers.ts`: the batch is the last axis.
 */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import { reluPullback, type GraphLayer, type LayerContext } from './layers.ts';
import { padMap, partOfMap, windowSlices, type MapShape } from './windows.ts';

/**
 * z = w * x + b over all windows of the padded map, then ReLU where the layer has one. The zeros are put around the map by
 * an operator of their own: the weight's gradient needs the padded map too, and providers differ in which uneven padding
 * their convolutions take.
 */
export function convolutionLayer(
  layer: Extract<LayerPlan, { kind: 'conv' }>,
  x_CHWB: Value,
  context: LayerContext,
): GraphLayer {
  const { graph } = context;
  const [channels, height, width] = layer.inputShape as MapShape;
  const [filters, outputHeight, outputWidth] = layer.outputShape as MapShape;
  const { kernel: k, stride, padding } = layer;
  const weight = context.parameter(layer.weight);

  // The batch is the third spatial axis of one three-dimensional image; the kernel is one sample deep. (On WebGPU,
  // ONNX Runtime 1.30 has a wrong two-dimensional Conv of 6, 9, 15, 18, ... channels and 4, 8, 12, ... filters: it reads
  // three channels at a time, but divides their index by 4, so it finds the first ones again. This one is right.)
  const padded_CHWB = padMap(graph, x_CHWB, padding);
  const image = graph.op('Unsqueeze', [padded_CHWB, graph.ints([0])]);
  const kernel = graph.reshape(weight, [filters, channels, k, k, 1]);
  const strides = stride === 1 ? {} : { strides: [stride, stride, 1] };
  const z = graph.op('Conv', [image, kernel, context.parameter(layer.bias)], strides);
  const activation = layer.relu ? graph.op('Relu', [z]) : z;
  const output = graph.reshape(activation, [filters, outputHeight, outputWidth, -1]);

  return {
    output,
    pullback(upstream, emit) {
      const u_CHWB = layer.relu ? reluPullback(graph, upstream, output) : upstream;
      const u_CN = graph.reshape(u_CHWB, [filters, -1]);
      emit(layer.bias, graph.op('ReduceSum', [u_CN, graph.ints([1])], { keepdims: 0 }));

      const slices = windowSlices(graph, padded_CHWB, [k, k], [outputHeight, outputWidth], stride);
      const windows = graph.op('Concat', slices, { axis: 0 });
      const product = windowProduct(graph, u_CHWB, windows, [filters, k * k * channels], outputHeight);
      emit(layer.weight, graph.transpose(graph.reshape(product, [filters, k, k, channels]), [0, 3, 1, 2]));

      return () => {
        // The transposed convolution is fast with the batch first only: there and back costs less than it saves.
        const u_FB = graph.reshape(u_CHWB, [filters * outputHeight * outputWidth, -1]);
        const u_BCHW = graph.reshape(graph.transpose(u_FB, [1, 0]), [-1, filters, outputHeight, outputWidth]);
        const dx_BCHW = graph.op('ConvTranspose', [u_BCHW, weight], stride === 1 ? {} : { strides: [stride, stride] });
        // It covers what windows reach of the padded map: not the rows and columns behind the last window.
        const reached = [(outputHeight - 1) * stride + k, (outputWidth - 1) * stride + k] as const;
        const dx_BF = graph.reshape(dx_BCHW, [-1, channels * reached[0] * reached[1]]);
        const dx_CHWB = graph.reshape(graph.transpose(dx_BF, [1, 0]), [channels, ...reached, -1]);
        return partOfMap(graph, dx_CHWB, reached, { top: padding.top, left: padding.left, height, width });
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
