/** Average pooling of the reference engine: windows do not overlap. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import type { AppliedLayer } from './layer.ts';

/**
 * y[s,c,h,w] = the mean of x[s,c,h R + i,w C + j] over i < R, j < C, for windows of [R, C]. Rows and columns of the input
 * that do not fill a window are ignored.
 *
 * Each entry of a window moves its mean by 1 / (R C), so with u = d(loss)/dy each takes u / (R C) as its gradient.
 *
 * - `input`: x, [numSamples, channels, height, width]
 */
export function applyAveragePool(
  layer: Extract<LayerPlan, { kind: 'averagePool' }>,
  input: Float64Array,
  numSamples: number,
): AppliedLayer {
  const [channels, height, width] = layer.inputShape as [number, number, number];
  const [, outputHeight, outputWidth] = layer.outputShape as [number, number, number];
  const [rows, columns] = layer.window;
  const share = 1 / (rows * columns);

  /** Calls `visit` for every entry of the input that lies in a window. */
  const forEachEntry = (visit: (inputAt: number, outputAt: number) => void): void => {
    for (let map = 0; map < numSamples * channels; map++) {
      for (let y = 0; y < outputHeight * rows; y++) {
        for (let x = 0; x < outputWidth * columns; x++) {
          const outputRow = map * outputHeight + Math.floor(y / rows);
          visit((map * height + y) * width + x, outputRow * outputWidth + Math.floor(x / columns));
        }
      }
    }
  };

  const output = new Float64Array(numSamples * channels * outputHeight * outputWidth);
  forEachEntry((inputAt, outputAt) => (output[outputAt]! += share * input[inputAt]!));

  const pullback = (upstream: Float64Array): Float64Array => {
    const inputGradient = new Float64Array(input.length);
    forEachEntry((inputAt, outputAt) => (inputGradient[inputAt] = share * upstream[outputAt]!));
    return inputGradient;
  };
  return { output, pullback };
}
