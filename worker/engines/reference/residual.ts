/** The two ends of a residual block in the reference engine. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import { reluInPlace, reluPullback, type AppliedLayer } from './layer.ts';

/** A block that is being applied: what went into it, and in the pullback what came back to its end. */
export interface OpenBlock {
  readonly input: Float64Array;
  gradient?: Float64Array;
}

/**
 * y = x, which the join of the block adds again. With u from the layer above and v from the join, dx = u + v: both paths
 * move with x.
 */
export function applyFork(block: OpenBlock): AppliedLayer {
  const pullback = (upstream: Float64Array): Float64Array => upstream.map((value, at) => value + block.gradient![at]!);
  return { output: block.input, pullback };
}

/** y = x + the block's input, then ReLU where the layer has one. Both take the same gradient, that before the ReLU. */
export function applyJoin(
  layer: Extract<LayerPlan, { kind: 'join' }>,
  input: Float64Array,
  block: OpenBlock,
): AppliedLayer {
  const output = input.map((value, at) => value + block.input[at]!);
  if (layer.relu) reluInPlace(output);
  const pullback = (upstream: Float64Array): Float64Array => {
    block.gradient = layer.relu ? reluPullback(upstream, output) : upstream;
    return block.gradient;
  };
  return { output, pullback };
}
