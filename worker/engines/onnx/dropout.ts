/** Dropout as ONNX operators, with masks that come in as data. Layouts as in `layers.ts`: the batch is the last axis. */
import { product, type LayerPlan, type ModelPlan } from '../../../protocol/state/model-spec.ts';
import { dropoutScale } from '../dropout.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import type { GraphLayer } from './layers.ts';
import { BATCH, floatsWithBatchLast } from './loss.ts';

/** The name of the training graph's input that holds a batch's masks. */
export const DROPOUT_MASKS = 'dropoutMasks';

/** Declares the masks, [B, numDropoutUnits] bytes, as an input; returns them as float32, [numDropoutUnits, B]. */
export function dropoutMaskInput(graph: GraphBuilder, { numDropoutUnits }: ModelPlan): Value {
  return floatsWithBatchLast(graph, graph.input(DROPOUT_MASKS, 'uint8', [BATCH, numDropoutUnits]));
}

/**
 * y = x m,  m = mask / (1 - rate), and the gradient likewise.
 *
 * - `masks_UB`: of all layers, 1 for what is kept; this layer's are `firstUnit` and on
 */
export function dropoutLayer(
  layer: Extract<LayerPlan, { kind: 'dropout' }>,
  x: Value,
  graph: GraphBuilder,
  masks_UB: Value,
): GraphLayer {
  const { firstUnit, outputShape } = layer;
  const bounds = [firstUnit, firstUnit + product(outputShape), 0].map((value) => graph.ints([value]));
  const mask_UB = graph.op('Slice', [masks_UB, ...bounds]);
  const scaled_UB = graph.op('Mul', [mask_UB, graph.scalar(dropoutScale(layer))]);
  const scaled = graph.reshape(scaled_UB, [...outputShape, -1]);
  return {
    output: graph.op('Mul', [x, scaled]),
    pullback: (upstream) => () => graph.op('Mul', [upstream, scaled]),
  };
}
