/**
 * The evaluation graph of any model: forward with the running statistics, and the loss. It has no backward pass.
 *
 * Inputs: `images`, `labels`, and every parameter and buffer under its slot's name. Outputs: `lossSum`, `numCorrect`,
 * and the last layer's `outputs`, [numClasses, B].
 */
import { internalError } from '../../../protocol/errors.ts';
import type { LayerPlan, ModelPlan } from '../../../protocol/state/model-spec.ts';
import { createGraphBuilder, type GraphTarget, type Value } from './graph-builder.ts';
import { batchNormEvaluation, denseLayer, type LayerContext } from './layers.ts';
import { BATCH, imageInput, labelInput, lossOutputs, OUTPUTS } from './loss.ts';
import { convolutionLayer, flattenLayer, maxPoolLayer } from './map-layers.ts';

/** The graph as the bytes of an ONNX model, for any batch size. */
export function buildEvaluationGraph(plan: ModelPlan, target: GraphTarget): Uint8Array {
  const graph = createGraphBuilder(`${plan.spec.name}-evaluation`, target);
  for (const slot of [...plan.parameters, ...plan.buffers]) graph.input(slot.name, 'float32', slot.shape);
  const context: LayerContext = { graph, parameter: (slot) => slot.name };

  const labels = labelInput(graph, plan);
  let value = imageInput(graph, plan);
  for (const layer of plan.layers) value = addLayer(layer, value, context);
  lossOutputs(graph, plan, value, labels, labels.oneHot_FB);
  graph.output(OUTPUTS, value, [plan.spec.numClasses, BATCH]);
  return graph.encode();
}

function addLayer(layer: LayerPlan, input: Value, context: LayerContext): Value {
  switch (layer.kind) {
    case 'conv':
      return convolutionLayer(layer, input, context).output;
    case 'averagePool':
    case 'dropout':
    case 'fork':
    case 'join':
      throw internalError(`this engine has no ${layer.kind}`);
    case 'maxPool':
      return maxPoolLayer(layer, input, context).output;
    case 'flatten':
      return flattenLayer(layer, input, context).output;
    case 'dense':
      return denseLayer(layer, input, context).output;
    case 'batchNorm':
      return batchNormEvaluation(layer, input, context);
  }
}
