/**
 * Buckets: a vector [gradient | statistics] cut into runs that travel one after the other, so that the first can be
 * averaged and on its way back while the last is still being sent.
 *
 * They are in the order in which they travel: from the end of the vector to its start, which is the order in which a
 * backward pass completes gradients. Vectors of one length are always cut alike.
 */
import type { VectorLayout } from './layout.ts';
import { BLOCK } from './encoding.ts';

/** A run of the vector: `numParameters` of the gradient from `first`, and at the vector's end its statistics. */
export interface Bucket {
  readonly first: number;
  readonly numParameters: number;
  readonly numBuffers: number;
}

/** Small enough for many to a vector that is worth it, large enough for its head and its system calls not to matter. */
const BUCKET_VALUES = 32 * BLOCK;

/**
 * Buckets of its last sum that a worker sends before the first average is back: one that is being averaged, one on its
 * way, and one more for the time that messages take from end to end.
 */
export const BUCKETS_AHEAD = 3;

/** How many buckets a vector is cut into where it must be sent. */
export const bucketsOf = ({ numParameters }: Pick<VectorLayout, 'numParameters'>): number =>
  Math.max(1, Math.round(numParameters / BUCKET_VALUES));

/** `numBuckets` of about one length, as far as there are blocks to share a scale. */
export function cutIntoBuckets({ numParameters, numBuffers }: VectorLayout, numBuckets: number): Bucket[] {
  const length = Math.max(BLOCK, Math.ceil(numParameters / numBuckets / BLOCK) * BLOCK);
  const buckets: Bucket[] = [];
  for (let first = 0; first === 0 || first < numParameters; first += length) {
    const isLast = first + length >= numParameters;
    const count = Math.min(length, numParameters - first);
    buckets.unshift({ first, numParameters: count, numBuffers: isLast ? numBuffers : 0 });
  }
  return buckets;
}

/** The bucket's part of a vector. */
export const bucketOf = (vector: Float32Array<ArrayBuffer>, { first, numParameters, numBuffers }: Bucket) =>
  vector.subarray(first, first + numParameters + numBuffers);
