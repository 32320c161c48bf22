/**
 * Gradient clipping: a gradient whose norm is above a bound is scaled down to it, its direction kept.
 *
 *     g <- min(1, clipNorm / |g|) g,  |g| the L2 norm over all parameters
 *
 * Every replica must find the same scale, so the order in which squares are added is fixed, and only + * / and Math.sqrt
 * are used. Weight decay comes later, in the update rule, and is no part of the norm.
 * Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1.
 */

/** Partial sums that a sum of squares is made of: enough for the widest vector registers to be busy. A power of two. */
const LANES = 16;

/**
 * What a gradient with this sum of squares is to be multiplied by, a float32: 1 where the norm is not above the bound. For
 * an infinity it is 0, which makes a NaN of it, and for a NaN 1: neither is hidden.
 */
export function clipScale(squares: number, clipNorm: number): number {
  const norm = Math.sqrt(squares);
  return norm > clipNorm ? Math.fround(clipNorm / norm) : 1;
}

/**
 * Sum of values[i]^2, in float64, which holds the square of every float32 exactly and no sum of them overflows.
 *
 * Lane j adds up the values at j, j + 16, j + 32, ...; then the upper half of the lanes is added to the lower half until
 * one is left. Vector instructions can keep to this order, and any number of values gives the same bits.
 */
export function sumOfSquares(values: Float32Array): number {
  const lanes = new Float64Array(LANES);
  for (let i = 0; i < values.length; i++) lanes[i % LANES]! += values[i]! * values[i]!;
  for (let half = LANES / 2; half >= 1; half /= 2) {
    for (let lane = 0; lane < half; lane++) lanes[lane]! += lanes[lane + half]!;
  }
  return lanes[0]!;
}
