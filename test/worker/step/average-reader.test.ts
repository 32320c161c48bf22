import { expect, test } from 'vitest';
import { plainVectorMath } from '../../../protocol/vectors/vector-math.ts';
import { BLOCK } from '../../../protocol/vectors/encoding.ts';
import { createAverageReader } from '../../../worker/step/average-reader.ts';

/** Of five blocks, the last one short, and five statistics: three buckets. */
const bigPlan = { numParameters: 4 * BLOCK + 1000, numBuffers: 5 };

test('a bucket out of order is refused', () => {
  const reader = createAverageReader('f32', bigPlan, plainVectorMath);
  reader.expect(3);
  expect(() => reader.add(1, new Uint8Array(8 * BLOCK))).toThrow('bucket 1 of an average, expected 0 of 3');
  expect(() => reader.finish(new Uint8Array(8 * BLOCK))).toThrow('bucket 2 of an average, expected 0 of 3');
  expect(() => reader.add(0, new Uint8Array(8 * BLOCK))).toThrow(`${8 * BLOCK} bytes of gradients, expected 4020`);
});
