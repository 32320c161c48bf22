/** Max pooling of the reference engine: windows do not overlap. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { AppliedLayer } from './layer.ts';

/**
 * y[s,c,h,w] = the largest of x[s,c,h k + i,w k + j] over i, j < k. Rows and columns of the input that do not fill a
 * window are ignored.
 *
 * The output moves with the entry that was taken and with no other, so the gradient goes to that entry alone; of equal
 * entries the first in row-major order is taken.
 *
 * - `input`: x, [numSamples, channels, height, width]
 */
export function applyMaxPool(
  layer: Extract<LayerPlan, { kind: 'maxPool' }>,
  input: Float64Array,
  numSamples: number,
): AppliedLayer {
  const [channels, height, width] = layer.inputShape as [number, number, number];
  const [, outputHeight, outputWidth] = layer.outputShape as [number, number, number];

  const output = new Float64Array(numSamples * channels * outputHeight * outputWidth);
  /** For every output, the place in `input` of the entry taken. */
  const takenFrom = new Int32Array(output.length);
  let at = 0;
  for (let map = 0; map < numSamples * channels; map++) {
    for (let h = 0; h < outputHeight; h++) {
      for (let w = 0; w < outputWidth; w++) {
        const corner = (map * height + h * layer.size) * width + w * layer.size;
        let best = corner;
        for (let i = 0; i < layer.size; i++) {
          for (let j = 0; j < layer.size; j++) {
            const candidate = corner + i * width + j;
            if (input[candidate]! > input[best]!) best = candidate;
          }
        }
        takenFrom[at] = best;
        output[at++] = input[best]!;
      }
    }
  }

  const pullback = (upstream: Float64Array): Float64Array => {
    const inputGradient = new Float64Array(input.length);
    upstream.forEach((value, i) => (inputGradient[takenFrom[i]!] = value));
    return inputGradient;
  };
  return { output, pullback };
}
