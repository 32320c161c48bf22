/** Dense layer of the reference engine. */
import type { LayerPlan } from '../../../protocol/state/model-spec.ts';
import { reluInPlace, reluPullback, type AppliedLayer } from './layer.ts';

/**
 * z[s,o] = sum_i x[s,i] w[i,o] + b[o], then ReLU where the layer has one.
 *
 * With u = d(loss)/dz, summed over the samples s:
 *
 *     dw[i,o] = sum_s x[s,i] u[s,o]      db[o] = sum_s u[s,o]      dx[s,i] = sum_o w[i,o] u[s,o]
 *
 * - `input`: [numSamples, in]; `parameters`: the flat vector
 */
export function applyDense(
  layer: Extract<LayerPlan, { kind: 'dense' }>,
  input: Float64Array,
  numSamples: number,
  parameters: Float32Array,
): AppliedLayer {
  const [numInputs, numOutputs] = layer.weight.shape as [number, number];
  const weightAt = layer.weight.offset;
  const biasAt = layer.bias.offset;

  const output = new Float64Array(numSamples * numOutputs);
  for (let s = 0; s < numSamples; s++) {
    const outputAt = s * numOutputs;
    for (let o = 0; o < numOutputs; o++) output[outputAt + o] = parameters[biasAt + o]!;
    for (let i = 0; i < numInputs; i++) {
      const x = input[s * numInputs + i]!;
      const rowAt = weightAt + i * numOutputs;
      for (let o = 0; o < numOutputs; o++) output[outputAt + o]! += x * parameters[rowAt + o]!;
    }
  }
  if (layer.relu) reluInPlace(output);

  const pullback = (upstream: Float64Array, gradient: Float64Array): Float64Array => {
    const u = layer.relu ? reluPullback(upstream, output) : upstream;
    const inputGradient = new Float64Array(numSamples * numInputs);
    for (let s = 0; s < numSamples; s++) {
      const outputAt = s * numOutputs;
      for (let o = 0; o < numOutputs; o++) gradient[biasAt + o]! += u[outputAt + o]!;
      for (let i = 0; i < numInputs; i++) {
        const x = input[s * numInputs + i]!;
        const rowAt = weightAt + i * numOutputs;
        let sum = 0;
        for (let o = 0; o < numOutputs; o++) {
          const up = u[outputAt + o]!;
          gradient[rowAt + o]! += x * up;
          sum += parameters[rowAt + o]! * up;
        }
        inputGradient[s * numInputs + i] = sum;
      }
    }
    return inputGradient;
  };
  return { output, pullback };
}
