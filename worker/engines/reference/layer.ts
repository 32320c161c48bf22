/**
 * What the reference engine's layers have in common. A layer is applied to the whole batch at once and hands back its
 * pullback: the function that carries a gradient from its output to its input, by the chain rule.
 */

export interface AppliedLayer {
  /** [numSamples, ...outputShape] */
  readonly output: Float64Array;
  /**
   * Adds d(loss)/d(parameter), summed over the samples, into the layer's slots of the flat `gradient`; returns
   * d(loss)/d(input), [numSamples, ...inputShape].
   *
   * - `upstream`: d(loss)/d(output), [numSamples, ...outputShape]; not changed
   */
  readonly pullback: (upstream: Float64Array, gradient: Float64Array) => Float64Array;
}

/** max(value, 0) in place. Written so that a NaN stays one. */
export function reluInPlace(values: Float64Array): void {
  for (let i = 0; i < values.length; i++) if (values[i]! <= 0) values[i] = 0;
}

/**
 * Gradient before a ReLU, given the gradient after it: it passes where the output is positive. At 0, where the slope
 * jumps, 0 is taken.
 */
export function reluPullback(upstream: Float64Array, output: Float64Array): Float64Array {
  return upstream.map((value, i) => (output[i]! > 0 ? value : 0));
}
