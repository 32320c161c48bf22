/** Convolution of the reference engine: square kernel, stride 1, no padding. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import { reluInPlace, reluPullback, type AppliedLayer } from './layer.ts';

/**
 * z[s,f,y,x] = b[f] + sum_{c,i,j} w[f,c,i,j] a[s,c,y+i,x+j], then ReLU where the layer has one. (Not flipped: what
 * every framework calls convolution.)
 *
 * Each w[f,c,i,j] meets each a[s,c,y+i,x+j] once, so with u = d(loss)/dz:
 *
 *     dw[f,c,i,j]     = sum_{s,y,x} u[s,f,y,x] a[s,c,y+i,x+j]
 *     db[f]           = sum_{s,y,x} u[s,f,y,x]
 *     da[s,c,y+i,x+j] = the sum of w[f,c,i,j] u[s,f,y,x] over all f, i, j, y, x that lead there
 *
 * - `input`: a, [numSamples, channels, height, width]; `parameters`: the flat vector
 */
export function applyConvolution(
  layer: Extract<LayerPlan, { kind: 'conv' }>,
  input: Float64Array,
  numSamples: number,
  parameters: Float32Array,
): AppliedLayer {
  const [numFilters, outputHeight, outputWidth] = layer.outputShape as [number, number, number];
  const outputMap = outputHeight * outputWidth;
  const biasAt = layer.bias.offset;

  /** Calls `visit` for every weight of every sample, with the maps that the weight connects. */
  const forEachTap = (visit: (weightAt: number, inputAt: number, outputAt: number) => void): void => {
    const [channels, height, width] = layer.inputShape as [number, number, number];
    for (let s = 0; s < numSamples; s++) {
      for (let f = 0; f < numFilters; f++) {
        for (let c = 0; c < channels; c++) {
          for (let i = 0; i < layer.kernel; i++) {
            for (let j = 0; j < layer.kernel; j++) {
              const weightAt = layer.weight.offset + ((f * channels + c) * layer.kernel + i) * layer.kernel + j;
              visit(weightAt, ((s * channels + c) * height + i) * width + j, (s * numFilters + f) * outputMap);
            }
          }
        }
      }
    }
  };
  /** From one row of a window to the next: the input's rows are wider than the output's. */
  const inputStride = layer.inputShape[2]!;

  const output = new Float64Array(numSamples * numFilters * outputMap);
  for (let map = 0; map < numSamples * numFilters; map++) {
    output.fill(parameters[biasAt + (map % numFilters)]!, map * outputMap, (map + 1) * outputMap);
  }
  forEachTap((weightAt, inputAt, outputAt) => {
    const w = parameters[weightAt]!;
    for (let y = 0; y < outputHeight; y++) {
      const from = inputAt + y * inputStride;
      const to = outputAt + y * outputWidth;
      for (let x = 0; x < outputWidth; x++) output[to + x]! += w * input[from + x]!;
    }
  });
  if (layer.relu) reluInPlace(output);

  const pullback = (upstream: Float64Array, gradient: Float64Array): Float64Array => {
    const u = layer.relu ? reluPullback(upstream, output) : upstream;
    for (let at = 0; at < u.length; at++) gradient[biasAt + (Math.floor(at / outputMap) % numFilters)]! += u[at]!;
    const inputGradient = new Float64Array(input.length);
    forEachTap((weightAt, inputAt, outputAt) => {
      const w = parameters[weightAt]!;
      let sum = 0;
      for (let y = 0; y < outputHeight; y++) {
        const from = inputAt + y * inputStride;
        const to = outputAt + y * outputWidth;
        for (let x = 0; x < outputWidth; x++) {
          const up = u[to + x]!;
          sum += up * input[from + x]!;
          inputGradient[from + x]! += w * up;
        }
      }
      gradient[weightAt]! += sum;
    });
    return inputGradient;
  };
  return { output, pullback };
}
