/**
 * The layers of flat samples as ONNX operators: dense and batch norm, and what all layers share. Next door are
 * `convolution.ts`, `map-layers.ts` (pooling and flattening), `dropout.ts` and `residual.ts`; the algebra behind each
 * gradient is in the reference engine.
 *
 * Every value has the **batch as its last axis**, one size for the whole graph, so that work on a feature or a pixel
 * runs over contiguous samples. Slices of a feature map are then runs of whole rows of samples, which copy several times
 * faster than single pixels, and the whole batch is one matrix product. Against the usual order (batch first) that took
 * a third off a step of `conv-pool` and an eighth off `conv`, on one thread of an AMD EPYC with ONNX Runtime 1.30.
 * Names of values carry their layout:
 *
 *     F features (of a flat sample)   U dropout units   B batch   C channels, or filters   H, W height and width
 *     N all axes after the first as one: height x width x batch, or the batch
 */
import { BATCH_NORM_EPSILON, product, type LayerPlan, type TensorSlot } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';

/** What a layer needs to put itself into a graph. */
export interface LayerContext {
  readonly graph: GraphBuilder;
  /** The parameter, or running statistic, in a slot; in the slot's shape. */
  readonly parameter: (slot: TensorSlot) => Value;
}

/** Names a parameter's gradient, or a batch statistic, as the output of its slot. */
export type Emit = (slot: TensorSlot, value: Value) => void;

/**
 * A layer's output, and its pullback: given d(loss)/d(output), it emits the gradients of the layer's parameters and
 * returns a function that adds d(loss)/d(input) to the graph. What is not asked for is not computed.
 */
export interface GraphLayer {
  readonly output: Value;
  readonly pullback: (upstream: Value, emit: Emit) => () => Value;
}

/** z_FB = w^T x + b, then ReLU where the layer has one. */
export function denseLayer(
  layer: Extract<LayerPlan, { kind: 'dense' }>,
  x_FB: Value,
  context: LayerContext,
): GraphLayer {
  const { graph } = context;
  const weight = context.parameter(layer.weight);
  const bias_F1 = graph.reshape(context.parameter(layer.bias), [-1, 1]);
  const z_FB = graph.op('Gemm', [weight, x_FB, bias_F1], { transA: 1 });
  const output = layer.relu ? graph.op('Relu', [z_FB]) : z_FB;

  return {
    output,
    pullback(upstream, emit) {
      const u_FB = layer.relu ? reluPullback(graph, upstream, output) : upstream;
      emit(layer.weight, graph.op('Gemm', [x_FB, u_FB], { transB: 1 }));
      emit(layer.bias, graph.op('ReduceSum', [u_FB, graph.ints([1])], { keepdims: 0 }));
      return () => graph.op('MatMul', [weight, u_FB]);
    },
  };
}

/** y = gamma n + beta,  n = (x - mean) r,  r = 1 / sqrt(variance + epsilon), with the running mean and variance. */
export function batchNormEvaluation(
  layer: Extract<LayerPlan, { kind: 'batchNorm' }>,
  x: Value,
  context: LayerContext,
): Value {
  const { graph, parameter } = context;
  const mean_F1 = graph.reshape(parameter(layer.mean), [-1, 1]);
  const variance_F1 = graph.reshape(parameter(layer.variance), [-1, 1]);
  const centred_FN = graph.op('Sub', [featureRows(graph, x), mean_F1]);
  return normaliseAndScale(layer, centred_FN, variance_F1, context).output;
}

/**
 * Batch norm with the batch's own statistics, which it emits. Features are the first axis: units, or channels.
 *
 * - `numSamples`: the batch's size, a float32 scalar
 */
export function batchNormTraining(
  layer: Extract<LayerPlan, { kind: 'batchNorm' }>,
  x: Value,
  context: LayerContext,
  emit: Emit,
  numSamples: Value,
): GraphLayer {
  const { graph } = context;
  const x_FN = featureRows(graph, x);
  const mean_F1 = graph.op('ReduceMean', [x_FN], { axes: [1], keepdims: 1 });
  const centred_FN = graph.op('Sub', [x_FN, mean_F1]);
  const square_FN = graph.op('Mul', [centred_FN, centred_FN]);
  const variance_F1 = graph.op('ReduceMean', [square_FN], { axes: [1], keepdims: 1 });
  emit(layer.mean, graph.reshape(mean_F1, [-1]));
  emit(layer.variance, graph.reshape(variance_F1, [-1]));
  const { output, normalised_FN, scale_F1 } = normaliseAndScale(layer, centred_FN, variance_F1, context);

  return {
    output,
    pullback(upstream) {
      const u_FN = featureRows(graph, upstream);
      const sumOf = (value: Value): Value => graph.op('ReduceSum', [value, graph.ints([1])], { keepdims: 1 });
      const gammaGradient_F1 = sumOf(graph.op('Mul', [u_FN, normalised_FN]));
      const betaGradient_F1 = sumOf(u_FN);
      emit(layer.gamma, graph.reshape(gammaGradient_F1, [-1]));
      emit(layer.beta, graph.reshape(betaGradient_F1, [-1]));
      return () => {
        // dx = gamma r (u - dbeta / N - n dgamma / N), N the values of a feature.
        const [, ...positions] = layer.inputShape;
        const numPositions = graph.scalar(product(positions));
        const numValues = graph.op('Mul', [numSamples, numPositions]);
        const throughMean_F1 = graph.op('Div', [betaGradient_F1, numValues]);
        const throughVariance_F1 = graph.op('Div', [gammaGradient_F1, numValues]);
        const rest_FN = graph.op('Sub', [u_FN, throughMean_F1]);
        const centredUpstream_FN = graph.op('Sub', [rest_FN, graph.op('Mul', [normalised_FN, throughVariance_F1])]);
        return graph.reshape(graph.op('Mul', [centredUpstream_FN, scale_F1]), [...layer.inputShape, -1]);
      };
    },
  };
}

/** n and y of batch norm, and the slope gamma r that the pullback needs. */
function normaliseAndScale(
  layer: Extract<LayerPlan, { kind: 'batchNorm' }>,
  centred_FN: Value,
  variance_F1: Value,
  { graph, parameter }: LayerContext,
): { output: Value; normalised_FN: Value; scale_F1: Value } {
  const gamma_F1 = graph.reshape(parameter(layer.gamma), [-1, 1]);
  const beta_F1 = graph.reshape(parameter(layer.beta), [-1, 1]);
  const deviation_F1 = graph.op('Sqrt', [graph.op('Add', [variance_F1, graph.scalar(BATCH_NORM_EPSILON)])]);
  const inverse_F1 = graph.op('Reciprocal', [deviation_F1]);
  const normalised_FN = graph.op('Mul', [centred_FN, inverse_F1]);
  const y_FN = graph.op('Add', [graph.op('Mul', [normalised_FN, gamma_F1]), beta_F1]);
  const output = graph.reshape(y_FN, [...layer.outputShape, -1]);
  return { output, normalised_FN, scale_F1: graph.op('Mul', [gamma_F1, inverse_F1]) };
}

/** Each feature's values as one row: [F, N]. */
function featureRows(graph: GraphBuilder, value: Value): Value {
  // A 0 in a shape keeps the size that is there.
  return graph.reshape(value, [0, -1]);
}

/** The gradient before a ReLU: it passes where the output is positive, and at 0 it is 0. */
export function reluPullback(graph: GraphBuilder, upstream: Value, output: Value): Value {
  const isPositive = graph.op('Greater', [output, graph.scalar(0)]);
  return graph.op('Mul', [upstream, graph.cast(isPositive, 'float32')]);
}
