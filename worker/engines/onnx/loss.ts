/** The two ends of every graph: images come in, and the loss and the count of correct answers go out. */
import type { ModelPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';

/** The symbolic size of the batch: one session serves any. */
export const BATCH = 'batch';

/** Names of a graph's inputs and outputs beside the slots'. */
export const IMAGES = 'images';
export const LABELS = 'labels';
export const LOSS_SUM = 'lossSum';
export const NUM_CORRECT = 'numCorrect';

/** Declares the bytes of a batch, [B, inputSize], as an input; returns pixels in [0, 1], [C, H, W, B]. */
export function imageInput(graph: GraphBuilder, plan: ModelPlan): Value {
  const bytes_BF = graph.input(IMAGES, 'uint8', [BATCH, plan.inputSize]);
  // Transposed as bytes: a quarter of the memory.
  const pixels_FB = graph.cast(graph.transpose(bytes_BF, [1, 0]), 'float32');
  return graph.reshape(graph.op('Div', [pixels_FB, graph.scalar(255)]), [...plan.spec.input, -1]);
}

/** Declares the labels as an input; returns them as [B, 1] int32. */
export function labelInput(graph: GraphBuilder): Value {
  return graph.cast(graph.input(LABELS, 'uint8', [BATCH, 1]), 'int32');
}

/**
 * Declares two outputs: the sum over the samples of the softmax cross-entropy, -log p[label], and how many samples have
 * their label as the first largest output.
 *
 * - `logits_FB`: the last layer's output, [numClasses, B]
 *
 * Returns a function that adds d(lossSum)/d(logits), [numClasses, B]: p - (1 at the label, else 0).
 */
export function lossOutputs(graph: GraphBuilder, plan: ModelPlan, logits_FB: Value, labels_B1: Value): () => Value {
  const { numClasses } = plan.spec;
  const classes = graph.int32Tensor([...Array(numClasses).keys()], [1, numClasses]);
  const oneHot_BF = graph.cast(graph.op('Equal', [labels_B1, classes]), 'float32');

  const logits_BF = graph.transpose(logits_FB, [1, 0]);
  const logProbability_BF = graph.op('LogSoftmax', [logits_BF], { axis: 1 });
  const negativeLoss = graph.op('ReduceSum', [graph.op('Mul', [logProbability_BF, oneHot_BF])], { keepdims: 0 });
  graph.output(LOSS_SUM, graph.op('Neg', [negativeLoss]), []);

  const answer_B1 = graph.cast(graph.op('ArgMax', [logits_BF], { axis: 1, keepdims: 1 }), 'int32');
  const isCorrect_B1 = graph.cast(graph.op('Equal', [answer_B1, labels_B1]), 'float32');
  graph.output(NUM_CORRECT, graph.op('ReduceSum', [isCorrect_B1], { keepdims: 0 }), []);

  return () => {
    const probability_BF = graph.op('Exp', [logProbability_BF]);
    return graph.transpose(graph.op('Sub', [probability_BF, oneHot_BF]), [1, 0]);
  };
}
