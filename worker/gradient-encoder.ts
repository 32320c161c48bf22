/**
 * Gradient encoder: a worker's sums as payloads in the run's wire format, a bucket each, in memory that is used again.
 * Vectors, or payloads where they are not the same, lie in memory that the coordinator reads, if there is any.
 */
import type { VectorLayout } from '../protocol/state/exchange.ts';
import type { VectorMath } from '../protocol/state/vector-math.ts';
import { bucketOf, cutIntoBuckets } from '../protocol/wire/buckets.ts';
import type { Bucket } from '../protocol/wire/buckets.ts';
import type { WireFormat } from '../protocol/wire/encoding.ts';
import { allocateOwn } from '../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../protocol/wire/shared-memory.ts';
import { createVectorCodec } from '../protocol/wire/vector-codec.ts';
import type { VectorCodec } from '../protocol/wire/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

export interface GradientEncoder {
  /** A vector [gradient | statistics] to sum into, with what it held before in it. */
  take(): Floats;
  /** Takes back a vector that will not be encoded. */
  free(vector: Floats): void;
  /**
   * Begins to encode a vector from `take`, bucket by bucket, as far as it is final; it belongs to the encoder when all
   * payloads have been made. One vector at a time.
   */
  encode(vector: Floats, numBuckets: number): Payloads;
  /** Tells that all payloads so far have arrived: their memory may be used again. */
  arrived(): void;
  /** Drops what rounding took away from vectors so far. */
  reset(): void;
}

/** The payloads of a vector, a bucket each, in order. */
export interface Payloads {
  readonly count: number;
  /**
   * The next one. Undefined where its bucket begins before parameter `firstFinal`, from which on the gradient is final,
   * and after the last.
   */
  next(firstFinal: number): Bytes | undefined;
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
      const rest = [...buckets];
      return {
        count: buckets.length,
        next(firstFinal) {
          if (rest.length === 0 || rest[0]!.first < firstFinal) return undefined;
          const { payload, free: freePayload } = rest.shift()!.encode(vector);
          travelling.push(freePayload);
          if (rest.length > 0) return payload;
          if (isExact) travelling.push(() => free(vector));
          else free(vector);
          return payload;
        },
      };
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
  /** Where its run of the vector begins. */
  readonly first: number;
  encode(vector: Floats): { payload: Bytes; free: () => void };
}

function createBucketEncoder(bucket: Bucket, codec: VectorCodec, allocate: PayloadAllocator): BucketEncoder {
  const { asBytes, payloadBytes } = codec;
  const idle: Bytes[] = [];
  return {
    first: bucket.first,
    encode(vector) {
      const values = bucketOf(vector, bucket);
      if (asBytes) return { payload: asBytes(values), free: () => {} };
      const payload = idle.pop() ?? allocate(payloadBytes);
      codec.encode(payload, values);
      return { payload, free: () => void idle.push(payload) };
    },
  };
}
