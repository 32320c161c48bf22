/**
 * Dropout's random choices: which values of a sample are kept, as a function of the run's seed, the epoch and the
 * sample's index alone. An epoch meets a sample once, so each step draws anew; and what is computed does not depend on
 * who computes it.
 *
 * Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014; here what is kept is
 * divided by 1 - rate in training, so that evaluation changes nothing ("inverted" dropout).
 */
import { mixSeed, spreadWord } from './random.ts';

/** Keeps dropout's stream of random words apart from the augmentation's, which has the same seed, epoch and sample. */
const STREAM = 0x44524f50;

/** What a sample's mask is drawn from: 32 bits. */
export function dropoutKey(seed: number, epoch: number, sample: number): number {
  return mixSeed(mixSeed(mixSeed(seed, STREAM), epoch), sample) >>> 0;
}

/**
 * mask[u] = 1 where unit `firstUnit` + u of the sample with `key` is kept, else 0; a unit is kept with probability
 * 1 - `rate`. Fills `mask`, one byte a unit.
 */
export function fillDropoutMask(mask: Uint8Array, key: number, rate: number, firstUnit: number): void {
  const limit = Math.round(rate * 2 ** 32);
  for (let u = 0; u < mask.length; u++) {
    mask[u] = spreadWord(key + Math.imul(firstUnit + u + 1, 0x9e3779b9)) >>> 0 >= limit ? 1 : 0;
  }
}
