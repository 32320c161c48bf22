/**
 * The evaluation graph of any model: forward with the running statistics, and the loss. It has no backward pass.
 *
 * Inputs: `images`, `labels`, and every parameter and buffer under its slot's name. Outputs: `lossSum`, `numCorrect`,
 * and the last layer's `outputs`, [numClasses, B].
 */
import type { LayerPlan, ModelPlan } from '../../../protocol/state/model-spec.ts';
import { convolutionLayer } from './convolution.ts';
import { createGraphBuilder, type GraphTarget, type Value } from './graph-builder.ts';
import { batchNormEvaluation, denseLayer, type LayerContext } from './layers.ts';
import { BATCH, imageInput, labelInput, lossOutputs, OUTPUTS } from './loss.ts';
import { averagePoolLayer, flattenLayer, maxPoolLayer } from './map-layers.ts';
import { forkLayer, joinLayer, type OpenBlock } from './residual.ts';

/** The graph as the bytes of an ONNX model, for any batch size. */
export function buildEvaluationGraph(plan: ModelPlan, target: GraphTarget): Uint8Array {
  const graph = createGraphBuilder(`${plan.spec.name}-evaluation`, target);
  for (const slot of [...plan.parameters, ...plan.buffers]) graph.input(slot.name, 'float32', slot.shape);
  const addLayer = layerAdder({ graph, parameter: (slot) => slot.name });

  const labels = labelInput(graph, plan);
  let value = imageInput(graph, plan);
  for (const layer of plan.layers) value = addLayer(layer, value);
  lossOutputs(graph, plan, value, labels, labels.oneHot_FB);
  graph.output(OUTPUTS, value, [plan.spec.numClasses, BATCH]);
  return graph.encode();
}

/** Adds the layers of a model to the graph, called for each in turn. */
function layerAdder(context: LayerContext): (layer: LayerPlan, input: Value) => Value {
  const { graph } = context;
  const openBlocks: OpenBlock[] = [];

  return (layer, input) => {
    switch (layer.kind) {
      case 'conv':
        return convolutionLayer(layer, input, context).output;
      case 'maxPool':
        return maxPoolLayer(layer, input, context).output;
      case 'averagePool':
        return averagePoolLayer(layer, input, context).output;
      case 'flatten':
        return flattenLayer(layer, input, context).output;
      case 'dense':
        return denseLayer(layer, input, context).output;
      case 'batchNorm':
        return batchNormEvaluation(layer, input, context);
      case 'dropout':
        return input;
      case 'fork':
        openBlocks.push({ input });
        return forkLayer(graph, openBlocks.at(-1)!).output;
      case 'join':
        return joinLayer(layer, input, graph, openBlocks.pop()!).output;
    }
  };
}
