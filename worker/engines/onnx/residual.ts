/** The two ends of a residual block as ONNX operators. */
import { internalError } from '../../../protocol/errors.ts';
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import { reluPullback, type GraphLayer } from './layers.ts';

/** A block that is being laid out: what goes into it, and once its join is pulled back, what comes back to its end. */
export interface OpenBlock {
  readonly input: Value;
  gradient?: Value;
}

/** y = x, which the join of the block adds again. With u from the layer above and v from the join, dx = u + v. */
export function forkLayer(graph: GraphBuilder, block: OpenBlock): GraphLayer {
  return {
    output: block.input,
    pullback: (upstream) => () => {
      if (block.gradient === undefined) throw internalError('a fork is pulled back before its join');
      return graph.op('Add', [upstream, block.gradient]);
    },
  };
}

/** y = x + the block's input, then ReLU where the layer has one. Both take the same gradient, that before the ReLU. */
export function joinLayer(
  layer: Extract<LayerPlan, { kind: 'join' }>,
  x: Value,
  graph: GraphBuilder,
  block: OpenBlock,
): GraphLayer {
  const sum = graph.op('Add', [x, block.input]);
  const output = layer.relu ? graph.op('Relu', [sum]) : sum;
  return {
    output,
    pullback: (upstream) => {
      const u = layer.relu ? reluPullback(graph, upstream, output) : upstream;
      block.gradient = u;
      return () => u;
    },
  };
}
