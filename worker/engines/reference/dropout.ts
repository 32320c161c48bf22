/** Dropout of the reference engine. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import { dropoutScale } from '../dropout.ts';
import type { AppliedLayer } from './layer.ts';

/**
 * y[s,u] = x[s,u] mask[s,u] / (1 - rate), and the gradient likewise.
 *
 * - `input`: x, [numSamples, ...shape]
 * - `masks`: [numSamples, numDropoutUnits], of which this layer has the units from `firstUnit` on
 */
export function applyDropout(
  layer: Extract<LayerPlan, { kind: 'dropout' }>,
  input: Float64Array,
  numSamples: number,
  masks: Uint8Array,
): AppliedLayer {
  const size = input.length / numSamples;
  const numUnits = masks.length / numSamples;
  const scale = dropoutScale(layer);
  const drop = (values: Float64Array): Float64Array =>
    values.map((value, at) => {
      const unit = Math.floor(at / size) * numUnits + layer.firstUnit + (at % size);
      return masks[unit] === 1 ? value * scale : 0;
    });
  return { output: drop(input), pullback: drop };
}
