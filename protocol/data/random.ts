/**
 * Seeded random numbers that are the same bits on every machine: integer arithmetic and exact scaling only.
 *
 * Generator: xoroshiro128+ (Blackman and Vigna, 2018) from pure-rand.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** An endless stream of floats in [0, 1), each a multiple of 2^-24. */
export function uniformFloats(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => (generator.next() >>> 8) * 2 ** -24;
}

/**
 * The order in which an epoch visits the training samples: a permutation of 0..numSamples-1 (Fisher and Yates), a
 * function of the arguments alone. Epochs count from 1.
 */
export function epochOrder(seed: number, epoch: number, numSamples: number): Uint32Array {
  const order = Uint32Array.from({ length: numSamples }, (_, i) => i);
  const generator = xoroshiro128plus(mixSeed(seed, epoch));
  for (let i = numSamples - 1; i > 0; i--) {
    const j = uniformInt(generator, 0, i);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

/**
 * An endless stream of words of 32 bits, 0 to 2^32 - 1, for one sample of one epoch: a counter, each of whose values is
 * spread over all bits, so that a stream costs nothing to begin. Source: Steele, Lea and Flood, Fast splittable
 * pseudorandom number generators, 2014 (SplitMix), with 32 bits.
 */
export function seededWords(seed: number, epoch: number, sample: number): () => number {
  let counter = mixSeed(mixSeed(seed, epoch), sample);
  return () => {
    counter = (counter + 0x9e3779b9) | 0;
    return spreadWord(counter) >>> 0;
  };
}

/** Spreads (seed, epoch) over 32 bits, so that near seeds and epochs share no stream. */
export function mixSeed(seed: number, epoch: number): number {
  return spreadWord(Math.imul(seed, 0x9e3779b1) ^ epoch);
}

/** murmur3's finaliser: every bit of the input changes each bit of the output in half of the cases. */
export function spreadWord(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
