/** The two ends of every graph: images come in, and the loss and the count of correct answers go out. */
import { labelBytesOf } from '../../../protocol/data/labels.ts';
import type { ModelPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';

/** The symbolic size of the batch: one session serves any. */
export const BATCH = 'batch';

/** Names of a graph's inputs and outputs beside the slots'. */
export const IMAGES = 'images';
export const LABELS = 'labels';
export const OUTPUTS = 'outputs';
export const LOSS_SUM = 'lossSum';
export const NUM_CORRECT = 'numCorrect';

/** The labels of a batch, in two forms. */
export interface LabelValues {
  /** Class indices, [1, B] int32. */
  readonly labels_1B: Value;
  /** [numClasses, B]: 1 at the label, else 0. */
  readonly oneHot_FB: Value;
}

/** Declares the bytes of a batch, [B, inputSize], as an input; returns pixels in [0, 1], [C, H, W, B]. */
export function imageInput(graph: GraphBuilder, plan: ModelPlan): Value {
  const pixels_FB = floatsWithBatchLast(graph, graph.input(IMAGES, 'uint8', [BATCH, plan.inputSize]));
  return graph.reshape(graph.op('Div', [pixels_FB, graph.scalar(255)]), [...plan.spec.input, -1]);
}

/** Bytes, [B, N], as float32, [N, B]. */
export function floatsWithBatchLast(graph: GraphBuilder, bytes: Value): Value {
  // On a CPU, transposed as bytes: a quarter of the memory. WebGPU transposes no bytes.
  return graph.target === 'cpu'
    ? graph.cast(graph.transpose(bytes, [1, 0]), 'float32')
    : graph.transpose(graph.cast(bytes, 'float32'), [1, 0]);
}

/** What labels come into the graph as: bytes, or where a byte is too narrow a type that every device has kernels for. */
export function labelTypeOf({ spec }: ModelPlan): 'uint8' | 'int32' {
  return labelBytesOf(spec.numClasses) === 1 ? 'uint8' : 'int32';
}

/** Declares the labels, [B, 1], as an input. */
export function labelInput(graph: GraphBuilder, plan: ModelPlan): LabelValues {
  const labels_1B = graph.reshape(graph.cast(graph.input(LABELS, labelTypeOf(plan), [BATCH, 1]), 'int32'), [1, -1]);
  const isLabel_FB = graph.op('Equal', [labels_1B, classColumn(graph, plan)]);
  return { labels_1B, oneHot_FB: graph.cast(isLabel_FB, 'float32') };
}

/**
 * The targets q of a batch, [numClasses, B]: the one-hot labels, smoothed by s to s/K + (1 - s) oneHot. Without smoothing
 * the graph is as it would be without this function.
 */
export function smoothedTargets(graph: GraphBuilder, plan: ModelPlan, { oneHot_FB }: LabelValues, s = 0): Value {
  if (s === 0) return oneHot_FB;
  return graph.op('Add', [graph.op('Mul', [oneHot_FB, graph.scalar(1 - s)]), graph.scalar(s / plan.spec.numClasses)]);
}

/**
 * Declares two outputs: the sum over the samples of the softmax cross-entropy, -sum_k q[k] log p[k], and how many samples have
 * their label as the first largest output.
 *
 * - `logits_FB`: the last layer's output, [numClasses, B]; `targets_FB`: q, [numClasses, B]
 *
 * Returns a function that adds d(lossSum)/d(logits), [numClasses, B]: p - q.
 *
 * It keeps to operators that WebGPU has kernels for: LogSoftmax and what follows ArgMax, on 64-bit integers, are not.
 */
export function lossOutputs(
  graph: GraphBuilder,
  plan: ModelPlan,
  logits_FB: Value,
  { labels_1B }: LabelValues,
  targets_FB: Value,
): () => Value {
  // log p = z - max - log(sum exp(z - max)), which no large z overflows.
  const max_1B = graph.op('ReduceMax', [logits_FB], { axes: [0], keepdims: 1 });
  const shifted_FB = graph.op('Sub', [logits_FB, max_1B]);
  const exponential_FB = graph.op('Exp', [shifted_FB]);
  const sum_1B = graph.op('ReduceSum', [exponential_FB, graph.ints([0])], { keepdims: 1 });
  const logProbability_FB = graph.op('Sub', [shifted_FB, graph.op('Log', [sum_1B])]);
  const negativeLoss = graph.op('ReduceSum', [graph.op('Mul', [logProbability_FB, targets_FB])], { keepdims: 0 });
  graph.output(LOSS_SUM, graph.op('Neg', [negativeLoss]), []);

  const isLargest_FB = graph.op('Equal', [logits_FB, max_1B]);
  const noClass = graph.int32Tensor([plan.spec.numClasses], []);
  const candidates_FB = graph.op('Where', [isLargest_FB, classColumn(graph, plan), noClass]);
  const answer_1B = graph.op('ReduceMin', [candidates_FB], { axes: [0], keepdims: 1 });
  const isCorrect_1B = graph.cast(graph.op('Equal', [answer_1B, labels_1B]), 'float32');
  graph.output(NUM_CORRECT, graph.op('ReduceSum', [isCorrect_1B], { keepdims: 0 }), []);

  return () => graph.op('Sub', [graph.op('Div', [exponential_FB, sum_1B]), targets_FB]);
}

/** The class indices, [numClasses, 1] int32. */
function classColumn(graph: GraphBuilder, { spec: { numClasses } }: ModelPlan): Value {
  return graph.int32Tensor([...Array(numClasses).keys()], [numClasses, 1]);
}
