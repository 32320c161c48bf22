import { expect, test } from 'vitest';
import { createBucketAverage } from '../../../../coordinator/all-reduce/star/bucket-average.ts';
import { WIRE_FORMATS } from '../../../../protocol/vectors/encoding.ts';
import { plainVectorMath } from '../../../../protocol/vectors/vector-math.ts';
import { allocateOwn } from '../../../../protocol/wire/shared-memory.ts';

test.each(WIRE_FORMATS)('a part whose payload is refused is not here, so another may send it (%s)', (wire) => {
  const averages = new Float32Array(8);
  const bucket = createBucketAverage(
    { first: 0, numParameters: 8, numBuffers: 0 },
    averages,
    wire,
    plainVectorMath,
    allocateOwn,
  );
  const transport = { recycle: () => {} };
  const whole = { first: 0, count: 1 };
  bucket.open(1);
  expect(() => bucket.add(whole, new Uint8Array(4), transport)).toThrow();
  expect(bucket.has(whole)).toBe(false);
  const payload = new Uint8Array(bucket.payload.byteLength);
  expect(bucket.add(whole, payload, transport)).toBe(true);
  expect(bucket.has(whole)).toBe(true);
  expect(bucket.finish(1)).toBe(true);
});
