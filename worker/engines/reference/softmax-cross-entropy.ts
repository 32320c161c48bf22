/** The loss of the reference engine. */
import type { Labels } from '../../../protocol/data/labels.ts';

export interface Loss {
  /** Sum over the samples, in nats. */
  readonly lossSum: number;
  /** Samples whose largest output, the first in a tie, is their label. */
  readonly numCorrect: number;
  /** d(lossSum)/d(outputs), [numSamples, numClasses] */
  readonly gradient: Float64Array;
}

/**
 * Softmax cross-entropy, summed over the samples:
 *
 *     loss = -log p[label],  p[k] = exp(z[k]) / sum_j exp(z[j])
 *          = log sum_j exp(z[j] - top) - (z[label] - top)
 *
 * where top, the largest z, keeps the exponentials from overflowing. As d(log sum_j exp z[j])/dz[k] = p[k]:
 *
 *     dz[k] = p[k] - (1 where k is the label, else 0)
 *
 * With label smoothing s the label's 1 becomes q[label] = 1 - s + s/K and the others' 0 q[k] = s/K, K classes:
 *
 *     loss = -sum_k q[k] log p[k],  dz[k] = p[k] - q[k]
 *
 * - `outputs`: z, [numSamples, numClasses]; `labels`: [numSamples] class indices
 */
export function softmaxCrossEntropy(
  outputs: Float64Array,
  labels: Labels,
  numSamples: number,
  numClasses: number,
  labelSmoothing = 0,
): Loss {
  const offLabel = labelSmoothing / numClasses;
  const targetOf = (k: number, label: number) => (k === label ? 1 - labelSmoothing : 0) + offLabel;
  const gradient = new Float64Array(outputs.length);
  let lossSum = 0;
  let numCorrect = 0;
  for (let s = 0; s < numSamples; s++) {
    const z = outputs.subarray(s * numClasses, (s + 1) * numClasses);
    const label = labels[s]!;
    let best = 0;
    for (let k = 1; k < numClasses; k++) if (z[k]! > z[best]!) best = k;
    if (best === label) numCorrect++;

    const top = z[best]!;
    const exponentials = z.map((value) => Math.exp(value - top));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    let loss = Math.log(sum);
    exponentials.forEach((e, k) => {
      const target = targetOf(k, label);
      // Where nothing is expected, an infinite output would make it 0 x infinity.
      if (target !== 0) loss -= target * (z[k]! - top);
      gradient[s * numClasses + k] = e / sum - target;
    });
    lossSum += loss;
  }
  return { lossSum, numCorrect, gradient };
}
