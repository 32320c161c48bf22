/** Dropout masks of a microbatch, which every engine takes as data: so the same values are dropped on every device. */
import { fillDropoutMask } from '../../protocol/data/dropout.ts';
import { internalError } from '../../protocol/errors.ts';
import type { LayerPlan, ModelPlan } from '../../protocol/state/model-spec.ts';
import type { Microbatch } from './engine.ts';

type DropoutPlan = Extract<LayerPlan, { kind: 'dropout' }>;

/** The dropout layers of a model, first to last. */
function dropoutLayersOf({ layers }: Pick<ModelPlan, 'layers'>): DropoutPlan[] {
  return layers.filter((layer) => layer.kind === 'dropout');
}

/** What a kept value is multiplied by, in float32 as all engines compute. */
export function dropoutScale({ rate }: Pick<DropoutPlan, 'rate'>): number {
  return Math.fround(1 / (1 - rate));
}

/**
 * Returns a function that draws the masks of a microbatch: [numSamples, numDropoutUnits] bytes, 1 for what is kept, in
 * memory that the next call uses again; empty for a model without dropout.
 */
export function createDropoutMasks(plan: ModelPlan, maxBatch: number): (batch: Microbatch) => Uint8Array<ArrayBuffer> {
  const layers = dropoutLayersOf(plan);
  const { numDropoutUnits } = plan;
  const masks = new Uint8Array(maxBatch * numDropoutUnits);
  return ({ dropoutKeys, numSamples }) => {
    if (layers.length === 0) return masks;
    if (!dropoutKeys || dropoutKeys.length < numSamples) {
      throw internalError(`dropout needs a key a sample: expected ${numSamples}, got ${dropoutKeys?.length ?? 0}`);
    }
    for (let sample = 0; sample < numSamples; sample++) {
      for (const { rate, firstUnit, outputShape } of layers) {
        const start = sample * numDropoutUnits + firstUnit;
        const size = outputShape.reduce((a, b) => a * b, 1);
        fillDropoutMask(masks.subarray(start, start + size), dropoutKeys[sample]!, rate, firstUnit);
      }
    }
    return masks.subarray(0, numSamples * numDropoutUnits);
  };
}
