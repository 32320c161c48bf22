/** Dropout's masks as tensors of the tfjs engine. */
import * as tf from '@tensorflow/tfjs';
import { product, type ModelPlan } from '../../../protocol/state/model-spec.ts';
import { createDropoutMasks, dropoutScale } from '../dropout.ts';
import type { Microbatch } from '../engine.ts';
import type { DropoutPlan } from './layers.ts';

/**
 * Returns a function that draws the masks of a microbatch, and returns another that makes a dropout layer's factors:
 * [numSamples, ...shape], 1 / (1 - rate) for what is kept, else 0. The tensors are on memory that the next microbatch
 * uses again.
 */
export function createDropoutFactors(plan: ModelPlan, maxBatch: number) {
  const { numDropoutUnits } = plan;
  const masksOf = createDropoutMasks(plan, maxBatch);
  const memory = new Float32Array(maxBatch * numDropoutUnits);

  return (batch: Microbatch): ((layer: DropoutPlan) => tf.Tensor) => {
    const { numSamples } = batch;
    const masks = masksOf(batch);
    return (layer) => {
      const { firstUnit, outputShape } = layer;
      const size = product(outputShape);
      const scale = dropoutScale(layer);
      const factors = memory.subarray(maxBatch * firstUnit, maxBatch * firstUnit + numSamples * size);
      for (let sample = 0; sample < numSamples; sample++) {
        const from = sample * numDropoutUnits + firstUnit;
        for (let u = 0; u < size; u++) factors[sample * size + u] = scale * masks[from + u]!;
      }
      return tf.tensor(factors, [numSamples, ...outputShape], 'float32');
    };
  };
}
