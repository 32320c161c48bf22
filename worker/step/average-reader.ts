/** Average reader: puts an update's buckets together to the vector that is applied. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import { bucketOf, cutIntoBuckets } from '../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

export interface AverageReader {
  /** Tells into how many buckets the next averages are cut. */
  expect(numBuckets: number): void;
  /** Takes one of the buckets before the last; the first begins anew. Throws ERR_UNEXPECTED_MESSAGE out of order, ERR_SHAPE_MISMATCH. */
  add(bucket: number, payload: Bytes): void;
  /** Takes the last bucket; returns the average, valid as long as the payload and until the next `add`. */
  finish(payload: Bytes): Floats;
}

export function createAverageReader(format: WireFormat, plan: VectorLayout, vectorMath: VectorMath): AverageReader {
  let whole: Floats | undefined;
  let next = 0;
  const bucketsOf = (numBuckets: number) =>
    cutIntoBuckets(plan, numBuckets).map((bucket) => ({
      bucket,
      codec: createVectorCodec(format, bucket, vectorMath),
    }));
  let buckets = bucketsOf(1);

  const decode = (index: number, payload: Bytes): Floats => {
    // A step that is computed once more, or a state that was sent anew: what had come of the average before is void.
    if (index === 0) next = 0;
    if (index !== next || index >= buckets.length) {
      const message = `bucket ${index} of an average, expected ${next} of ${buckets.length}`;
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', message);
    }
    const { bucket, codec } = buckets[index]!;
    next = (index + 1) % buckets.length;
    // A whole vector as it is needs no copy.
    if (codec.asVector && buckets.length === 1) return codec.asVector(payload);
    whole ??= new Float32Array(plan.numParameters + plan.numBuffers);
    codec.decode(bucketOf(whole, bucket), payload);
    return whole;
  };

  return {
    expect(numBuckets) {
      const cuts = cutIntoBuckets(plan, numBuckets);
      if (cuts.length !== buckets.length) buckets = bucketsOf(numBuckets);
    },
    add(bucket, payload) {
      decode(bucket, payload);
    },
    finish: (payload) => decode(buckets.length - 1, payload),
  };
}
