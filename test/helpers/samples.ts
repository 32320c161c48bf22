/** Synthetic samples for tests: seeded, labelled, and in the ways that matter to kernels like Fashion-MNIST. */
import { createLabels } from '../../protocol/data/labels.ts';
import type { ModelPlan } from '../../protocol/state/model-spec.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import type { Microbatch } from '../../worker/engines/engine.ts';

/**
 * Images of one bright, textured rectangle on black, its place and brightness depending on the label: so there are
 * large areas of exact zeros (ties in every pool), full blacks and full whites, and something to learn.
 */
export function syntheticSamples(plan: ModelPlan, numSamples: number, seed: number): Microbatch {
  const { input, numClasses } = plan.spec;
  const [channels, height, width] = input;
  const random = uniformFloats(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const images = new Uint8Array(numSamples * plan.inputSize);
  const labels = createLabels(numSamples, numClasses);

  for (let sample = 0; sample < numSamples; sample++) {
    const label = below(numClasses);
    labels[sample] = label;
    const top = below(Math.ceil(height / 3));
    const left = below(Math.ceil(width / 3));
    const bottom = height - below(Math.ceil(height / 4));
    const right = left + Math.max(1, Math.ceil(((label + 1) / numClasses) * (width - left)));
    for (let channel = 0; channel < channels; channel++) {
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          const brightness = 80 + 120 * random() + (y % (label + 2) === 0 ? 90 : 0);
          images[((sample * channels + channel) * height + y) * width + x] = Math.min(255, brightness);
        }
      }
    }
  }
  return { images, labels, numSamples, dropoutKeys: Uint32Array.from(labels, (_, sample) => seed * 1000 + sample) };
}
