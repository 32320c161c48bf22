/**
 * Gradient encoder: a worker's sums as payloads in the run's wire format, a bucket each, in memory that is used again.
 * Vectors, or payloads where they are not the same, lie in memory that the coordinator reads, if there is any.
 */
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import { bucketOf, cutIntoBuckets } from '../../protocol/vectors/buckets.ts';
import type { Bucket } from '../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { allocateOwn } from '../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import type { VectorCodec } from '../../protocol/vectors/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

export interface GradientEncoder {
  /** A vector [gradient | statistics] to sum into, with what it held before in it. */
  take(): Floats;
  /** Takes back a vector that will not be encoded. */
  free(vector: Floats): void;
  /** The payloads of a vector from `take`, which belongs to the encoder from here on: a bucket each, in order. */
  encode(vector: Floats, numBuckets: number): Bytes[];
  /** Tells that all payloads so far have arrived: their memory may be used again. */
  arrived(): void;
  /** Drops what rounding took away from vectors so far. */
  reset(): void;
}

export function createGradientEncoder(
  format: WireFormat,
  plan: VectorLayout,
  vectorMath: VectorMath,
  allocate: PayloadAllocator = allocateOwn,
): GradientEncoder {
  const isExact = format === 'f32';
  const vectors: Floats[] = [];
  const createVector = (): Floats => {
    const length = plan.numParameters + plan.numBuffers;
    if (!isExact) return new Float32Array(length);
    const { buffer, byteOffset } = allocate(length * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(buffer, byteOffset, length);
  };
  /** What frees the payloads under way. */
  const travelling: (() => void)[] = [];
  const free = (vector: Floats) => void vectors.push(vector);
  let buckets: BucketEncoder[] = [];

  return {
    take: () => vectors.pop() ?? createVector(),
    free,
    encode(vector, numBuckets) {
      const cuts = cutIntoBuckets(plan, numBuckets);
      // They remember what rounding took away, and stay for the run.
      if (buckets.length !== cuts.length) {
        buckets = cuts.map((cut) => createBucketEncoder(cut, createVectorCodec(format, cut, vectorMath), allocate));
      }
      const parts = buckets.map((bucket) => bucket.encode(vector));
      for (const { free } of parts) travelling.push(free);
      if (isExact) travelling.push(() => free(vector));
      else free(vector);
      return parts.map(({ payload }) => payload);
    },
    arrived() {
      for (const release of travelling.splice(0)) release();
    },
    reset() {
      buckets = [];
    },
  };
}

interface BucketEncoder {
  encode(vector: Floats): { payload: Bytes; free: () => void };
}

function createBucketEncoder(bucket: Bucket, codec: VectorCodec, allocate: PayloadAllocator): BucketEncoder {
  const { asBytes, payloadBytes } = codec;
  const idle: Bytes[] = [];
  return {
    encode(vector) {
      const values = bucketOf(vector, bucket);
      if (asBytes) return { payload: asBytes(values), free: () => {} };
      const payload = idle.pop() ?? allocate(payloadBytes);
      codec.encode(payload, values);
      return { payload, free: () => void idle.push(payload) };
    },
  };
}
