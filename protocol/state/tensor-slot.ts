/** Tensor slots: the places of named tensors in a flat vector, one after the other without gaps. */

/** One tensor's place in a flat vector. `offset` and `size` are in elements. */
export interface TensorSlot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

/** Adds a tensor behind the last one, and returns its slot. */
export function appendSlot(slots: TensorSlot[], name: string, shape: readonly number[]): TensorSlot {
  const slot = { name, shape, offset: totalSize(slots), size: product(shape) };
  slots.push(slot);
  return slot;
}

/** Elements of a flat vector that `slots` fill. */
export function totalSize(slots: readonly TensorSlot[]): number {
  const last = slots.at(-1);
  return last ? last.offset + last.size : 0;
}

/** Product of the sizes of a shape: its number of elements (1 for an empty shape). */
export function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
