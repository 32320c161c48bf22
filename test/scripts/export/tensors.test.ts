import fc from 'fast-check';
import { expect, test } from 'vitest';
import { product } from '../../../protocol/state/tensor-slot.ts';
import { transpose } from '../../../scripts/export/tensors.ts';

test('an entry is found at its transposed index', () => {
  const cases = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
      index: fc.tuple(...shape.map((size) => fc.nat(size - 1))),
    }),
  );
  const at = (index: readonly number[], shape: readonly number[]) =>
    index.reduce((offset, position, axis) => offset * shape[axis]! + position, 0);
  fc.assert(
    fc.property(cases, ({ shape, order, index }) => {
      const values = Float32Array.from({ length: product(shape) }, (_, offset) => offset);
      const moved = transpose(values, shape, order);
      const to = order.map((axis) => index[axis]!);
      expect(
        moved[
          at(
            to,
            order.map((axis) => shape[axis]!),
          )
        ],
      ).toBe(values[at(index, shape)]);
      expect(moved).toHaveLength(values.length);
    }),
  );
});
