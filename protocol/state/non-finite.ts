/** Where a vector is not finite, in words for an error. */
import { countOf } from '../counts.ts';
import { internalError } from '../errors.ts';
import { isFiniteVector } from '../vectors/vector-math.ts';
import { slotView } from './model-spec.ts';
import type { ModelPlan } from './model-spec.ts';

/**
 * Which tensors of a [gradient | statistics], or of a gradient alone, hold an infinity or NaN: the first in layout order
 * by its name in model.safetensors, and how many more. Undefined when all values are finite.
 *
 *     the gradient of conv1.weight (and of 11 more tensors)
 *     the batch statistics of norm1.mean
 */
export function describeNonFinite(plan: ModelPlan, vector: Float32Array<ArrayBuffer>): string | undefined {
  const { parameters, buffers, numParameters, numBuffers } = plan;
  if (vector.length !== numParameters && vector.length !== numParameters + numBuffers) {
    throw internalError(
      `cannot name the tensors of ${countOf(vector.length, 'value')} for ${numParameters} + ${numBuffers}`,
    );
  }
  // Of a gradient alone the second part is empty, and so is every tensor's view of it.
  const parts = [
    { what: 'gradient', slots: parameters, values: vector.subarray(0, numParameters) },
    { what: 'batch statistics', slots: buffers, values: vector.subarray(numParameters) },
  ];
  const [first, ...others] = parts.flatMap(({ what, slots, values }) =>
    slots.filter((slot) => !isFiniteVector(slotView(values, slot))).map(({ name }) => `the ${what} of ${name}`),
  );
  if (first === undefined || others.length === 0) return first;
  return `${first} (and of ${countOf(others.length, 'more tensor')})`;
}
