/**
 * What a model's outputs say of samples: probabilities, the predicted class, and the loss. A running evaluation and later
 * commands compute them here, so that they agree.
 */
import type { Labels } from '../data/labels.ts';

type Floats = Float32Array | Float64Array;

/** Softmax of one sample's outputs: probabilities, which add up to 1. */
export function softmax(outputs: Float32Array): Float64Array {
  const largest = outputs.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(outputs, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The first of the largest of `outputs[first]` to `outputs[end - 1]`, counted from `first`. */
export function argmax(outputs: Float32Array, first = 0, end = outputs.length): number {
  let best = first;
  for (let k = first + 1; k < end; k++) if (outputs[k]! > outputs[best]!) best = k;
  return best - first;
}

/**
 * The predicted class of each sample, which is the first of its largest outputs z, and the loss of its label in nats:
 *
 *     loss = -log softmax(z)[label] = log sum_k exp(z[k] - top) - (z[label] - top)
 *
 * where top, the largest z, keeps the exponentials from overflowing. Unlike the logarithm of a probability, which may have
 * become 0, it is finite wherever the outputs are. It allocates nothing.
 *
 * - `outputs`: [numSamples, numClasses] or longer; `labels`: [numSamples]
 * - `predicted`, `losses`: [numSamples] or longer, overwritten
 */
export function predict(
  outputs: Float32Array,
  labels: Labels,
  numClasses: number,
  { predicted, losses }: { readonly predicted: Floats; readonly losses: Floats },
): void {
  for (let sample = 0; sample < labels.length; sample++) {
    const first = sample * numClasses;
    const end = first + numClasses;
    const best = argmax(outputs, first, end);
    const top = outputs[first + best]!;
    let sum = 0;
    for (let k = first; k < end; k++) sum += Math.exp(outputs[k]! - top);
    predicted[sample] = best;
    losses[sample] = Math.log(sum) - (outputs[first + labels[sample]!]! - top);
  }
}
