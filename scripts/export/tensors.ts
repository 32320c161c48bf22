/** A model's tensors, as they are and in another order of their axes. */
import type { ModelFile } from '../../protocol/state/model-file.ts';
import { slotView } from '../../protocol/state/model-spec.ts';
import { product } from '../../protocol/state/tensor-slot.ts';
import type { TensorSlot } from '../../protocol/state/tensor-slot.ts';

/** The numbers in a slot of a plan, of its parameters or of its buffers; a view. */
export function valuesOf({ plan, parameters, buffers }: ModelFile, slot: TensorSlot): Float32Array<ArrayBuffer> {
  return slotView(plan.buffers.includes(slot) ? buffers : parameters, slot);
}

/** A copy of `values`, of `shape`, whose axis i is axis `order[i]` of the original. */
export function transpose(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array<ArrayBuffer> {
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  const sizes = order.map((axis) => shape[axis]!);
  const steps = order.map((axis) => strides[axis]!);
  const result = new Float32Array(values.length);
  const index = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = values[from]!;
    // As an odometer counts: the last axis first, and where one is full, it is 0 again and the one before goes on.
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < sizes[axis]!) break;
      from -= steps[axis]! * sizes[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
