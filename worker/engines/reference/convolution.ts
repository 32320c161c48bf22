/** Convolution of the reference engine: a square kernel, any stride, zeros around the map where the layer says so. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import { reluInPlace, reluPullback, type AppliedLayer } from './layer.ts';

type ConvPlan = Extract<LayerPlan, { kind: 'conv' }>;

/**
 * z[s,f,y,x] = b[f] + sum_{c,i,j} w[f,c,i,j] a[s,c,y S + i - top,x S + j - left], then ReLU where the layer has one; S is
 * the stride, and a is 0 outside the map. (Not flipped: what every framework calls convolution.)
 *
 * Each w[f,c,i,j] meets each a[s,c,r,q], r = y S + i - top and q = x S + j - left, once, so with u = d(loss)/dz:
 *
 *     dw[f,c,i,j] = sum_{s,y,x} u[s,f,y,x] a[s,c,r,q]
 *     db[f]       = sum_{s,y,x} u[s,f,y,x]
 *     da[s,c,r,q] = the sum of w[f,c,i,j] u[s,f,y,x] over all f, i, j, y, x that lead there
 *
 * - `input`: a, [numSamples, channels, height, width]; `parameters`: the flat vector
 */
export function applyConvolution(
  layer: ConvPlan,
  input: Float64Array,
  numSamples: number,
  parameters: Float32Array,
): AppliedLayer {
  const [numFilters, outputHeight, outputWidth] = layer.outputShape as [number, number, number];
  const outputMap = outputHeight * outputWidth;
  const biasAt = layer.bias.offset;

  const output = new Float64Array(numSamples * numFilters * outputMap);
  for (let map = 0; map < numSamples * numFilters; map++) {
    output.fill(parameters[biasAt + (map % numFilters)]!, map * outputMap, (map + 1) * outputMap);
  }
  /** From one row of windows to the next in the input. */
  const inputRow = layer.stride * layer.inputShape[2]!;
  forEachTap(layer, numSamples, ({ weightAt, inputAt, outputAt, numRows, numColumns }) => {
    const w = parameters[weightAt]!;
    for (let y = 0; y < numRows; y++) {
      const from = inputAt + y * inputRow;
      const to = outputAt + y * outputWidth;
      for (let x = 0; x < numColumns; x++) output[to + x]! += w * input[from + x * layer.stride]!;
    }
  });
  if (layer.relu) reluInPlace(output);

  const pullback = (upstream: Float64Array, gradient: Float64Array): Float64Array => {
    const u = layer.relu ? reluPullback(upstream, output) : upstream;
    for (let at = 0; at < u.length; at++) gradient[biasAt + (Math.floor(at / outputMap) % numFilters)]! += u[at]!;
    const inputGradient = new Float64Array(input.length);
    forEachTap(layer, numSamples, ({ weightAt, inputAt, outputAt, numRows, numColumns }) => {
      const w = parameters[weightAt]!;
      let sum = 0;
      for (let y = 0; y < numRows; y++) {
        const from = inputAt + y * inputRow;
        const to = outputAt + y * outputWidth;
        for (let x = 0; x < numColumns; x++) {
          const up = u[to + x]!;
          const at = from + x * layer.stride;
          sum += up * input[at]!;
          inputGradient[at]! += w * up;
        }
      }
      gradient[weightAt]! += sum;
    });
    return inputGradient;
  };
  return { output, pullback };
}

/** One weight in one sample, with the part of the output where it meets the map, and where it meets it first. */
interface Tap {
  weightAt: number;
  inputAt: number;
  outputAt: number;
  numRows: number;
  numColumns: number;
}

/** Calls `visit` for every weight of every sample, with one object that is used again. */
function forEachTap(layer: ConvPlan, numSamples: number, visit: (tap: Tap) => void): void {
  const { kernel, stride, padding } = layer;
  const [channels, height, width] = layer.inputShape as [number, number, number];
  const [numFilters, outputHeight, outputWidth] = layer.outputShape as [number, number, number];
  const tap: Tap = { weightAt: 0, inputAt: 0, outputAt: 0, numRows: 0, numColumns: 0 };
  for (let s = 0; s < numSamples; s++) {
    for (let f = 0; f < numFilters; f++) {
      for (let c = 0; c < channels; c++) {
        for (let i = 0; i < kernel; i++) {
          for (let j = 0; j < kernel; j++) {
            const [down, right] = [i - padding.top, j - padding.left];
            const [firstRow, endRow] = within(outputHeight, height, stride, down);
            const [firstColumn, endColumn] = within(outputWidth, width, stride, right);
            tap.weightAt = layer.weight.offset + ((f * channels + c) * kernel + i) * kernel + j;
            tap.inputAt =
              ((s * channels + c) * height + firstRow * stride + down) * width + firstColumn * stride + right;
            tap.outputAt = ((s * numFilters + f) * outputHeight + firstRow) * outputWidth + firstColumn;
            [tap.numRows, tap.numColumns] = [endRow - firstRow, endColumn - firstColumn];
            visit(tap);
          }
        }
      }
    }
  }
}

/** The outputs o, first to before end, of `numOutputs` whose input o stride + shift lies in 0..size - 1. */
function within(numOutputs: number, size: number, stride: number, shift: number): [first: number, end: number] {
  const first = Math.max(0, Math.ceil(-shift / stride));
  const end = Math.min(numOutputs, Math.floor((size - 1 - shift) / stride) + 1);
  return [first, end];
}
