/**
 * The training graph of any model: forward with batch statistics, loss, and the backward pass spelt out as ordinary
 * operators (ONNX Runtime's inference build has no gradients). It runs nothing.
 *
 * Inputs: `images`, `labels`, every parameter under its slot's name, and for a model with dropout `dropoutMasks`.
 * Outputs: `lossSum`, `numCorrect`, and for each slot of parameters and buffers, under {@link outputNameOf}, the gradient
 * summed over the batch or the statistic.
 */
import { internalError } from '../../../protocol/errors.ts';
import type { LayerPlan, ModelPlan, TensorSlot } from '../../../protocol/state/model-spec.ts';
import { convolutionLayer } from './convolution.ts';
import { dropoutLayer, dropoutMaskInput } from './dropout.ts';
import { createGraphBuilder, type GraphBuilder, type GraphTarget, type Value } from './graph-builder.ts';
import { batchNormTraining, denseLayer, type Emit, type GraphLayer, type LayerContext } from './layers.ts';
import { imageInput, labelInput, lossOutputs, smoothedTargets } from './loss.ts';
import { averagePoolLayer, flattenLayer, maxPoolLayer } from './map-layers.ts';
import { forkLayer, joinLayer, type OpenBlock } from './residual.ts';

/** The output that holds a parameter's gradient, or a buffer's batch statistic. */
export function outputNameOf(slot: TensorSlot): string {
  return `out.${slot.name}`;
}

/** The graph as the bytes of an ONNX model, for any batch size. */
export function buildTrainingGraph(plan: ModelPlan, target: GraphTarget, labelSmoothing = 0): Uint8Array {
  const graph = createGraphBuilder(`${plan.spec.name}-training`, target);
  for (const slot of plan.parameters) graph.input(slot.name, 'float32', slot.shape);
  const emit: Emit = (slot, value) => graph.output(outputNameOf(slot), value, slot.shape);

  const labels = labelInput(graph, plan);
  // Each sample has one label. (The operator Size has no kernel on a GPU.)
  const numSamples = graph.op('ReduceSum', [labels.oneHot_FB], { keepdims: 0 });
  const addLayer = layerAdder(graph, plan, emit, numSamples);
  let value = imageInput(graph, plan);
  const layers = plan.layers.map((layer) => {
    const added = addLayer(layer, value);
    value = added.output;
    return added;
  });
  const outputGradient = lossOutputs(graph, plan, value, labels, smoothedTargets(graph, plan, labels, labelSmoothing));

  // Backward, last layer to first; what lies before the first parameter needs no gradient, so neither does a fork there.
  const firstLearnt = plan.layers.findIndex(isLearnt);
  if (firstLearnt < 0) throw internalError(`model ${plan.spec.name} has parameters, but no layer that holds one`);
  let inputGradient = outputGradient;
  for (const layer of layers.slice(firstLearnt).toReversed()) inputGradient = layer.pullback(inputGradient(), emit);
  return graph.encode();
}

/** Whether a layer has parameters. */
function isLearnt({ kind }: LayerPlan): boolean {
  return kind === 'conv' || kind === 'dense' || kind === 'batchNorm';
}

/** Adds the layers of a model to the graph, called for each in turn. */
function layerAdder(
  graph: GraphBuilder,
  plan: ModelPlan,
  emit: Emit,
  numSamples: Value,
): (layer: LayerPlan, input: Value) => GraphLayer {
  const context: LayerContext = { graph, parameter: (slot) => slot.name };
  const openBlocks: OpenBlock[] = [];
  let masks_UB: Value | undefined;

  return (layer, input) => {
    switch (layer.kind) {
      case 'conv':
        return convolutionLayer(layer, input, context);
      case 'maxPool':
        return maxPoolLayer(layer, input, context);
      case 'averagePool':
        return averagePoolLayer(layer, input, context);
      case 'flatten':
        return flattenLayer(layer, input, context);
      case 'dense':
        return denseLayer(layer, input, context);
      case 'batchNorm':
        return batchNormTraining(layer, input, context, emit, numSamples);
      case 'dropout':
        masks_UB ??= dropoutMaskInput(graph, plan);
        return dropoutLayer(layer, input, graph, masks_UB);
      case 'fork':
        openBlocks.push({ input });
        return forkLayer(graph, openBlocks.at(-1)!);
      case 'join':
        return joinLayer(layer, input, graph, openBlocks.pop()!);
    }
  };
}
