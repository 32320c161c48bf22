/** One bucket of a star's vector: completes the reduction tree as parts arrive, divides, and encodes the average. */
import { createReducer } from '../../protocol/state/reduction.ts';
import type { Reducer, TreeNode } from '../../protocol/state/reduction.ts';
import type { VectorMath } from '../../protocol/state/vector-math.ts';
import { bucketOf } from '../../protocol/wire/buckets.ts';
import type { Bucket } from '../../protocol/wire/buckets.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** A vector on its way up the tree. */
interface Summand {
  readonly values: Float32Array<ArrayBuffer>;
  /** Whether it was summed here: only then it may be written to. */
  readonly isOwn: boolean;
  /** Gives its memory back to where it came from. */
  release(): void;
}

export interface BucketAverage {
  /** The finished average as it travels. */
  readonly payload: Bytes;
  /** Begins a step. */
  open(numMicrobatches: number): void;
  /** Takes the sum over a node's microbatches, as it came from `transport`. Returns whether the tree is complete. */
  add(node: TreeNode, payload: Bytes, transport: Pick<Transport, 'recycle'>): boolean;
  /**
   * The average over `numSamples`, into `payload` and, as everyone decodes it, into the vector of averages. Returns
   * whether all of it is finite. Only when the tree is complete, and nobody reads the average before any more.
   */
  finish(numSamples: number): boolean;
}

/** `averages` is the whole vector; the bucket's part of it is written here. */
export function createBucketAverage(
  bucket: Bucket,
  averages: Float32Array<ArrayBuffer>,
  wire: WireFormat,
  vectorMath: VectorMath,
  allocate: PayloadAllocator,
): BucketAverage {
  const { addVectors, divideVector } = vectorMath;
  const codec = createVectorCodec(wire, bucket, vectorMath);
  const average = bucketOf(averages, bucket);
  const encoded = codec.asBytes?.(average) ?? allocate(codec.payloadBytes);
  /** Vectors to sum into, kept from step to step. */
  const free: Float32Array<ArrayBuffer>[] = [];
  let reducer: Reducer<Summand>;
  let root: Summand | undefined;

  const ownSummand = (): Summand => {
    const values = free.pop() ?? new Float32Array(average.length);
    return { values, isOwn: true, release: () => void free.push(values) };
  };

  /** A payload's vector: the payload itself where that can be, else decoded. */
  const receivedSummand = (payload: Bytes, transport: Pick<Transport, 'recycle'>): Summand => {
    const recycle = () => transport.recycle(payload);
    if (codec.asVector) return { values: codec.asVector(payload), isOwn: false, release: recycle };
    const summand = ownSummand();
    codec.decode(summand.values, payload);
    recycle();
    return summand;
  };

  const combine = (left: Summand, right: Summand): Summand => {
    const sum = [left, right].find(({ isOwn }) => isOwn) ?? ownSummand();
    addVectors(sum.values, left.values, right.values);
    for (const summand of [left, right]) if (summand !== sum) summand.release();
    return sum;
  };

  return {
    payload: encoded,
    open(numMicrobatches) {
      root = undefined;
      reducer = createReducer<Summand>(numMicrobatches, [{ first: 0, count: numMicrobatches }], combine);
    },
    add(node, payload, transport) {
      root = reducer.add(node, receivedSummand(payload, transport))?.value;
      return root !== undefined;
    },
    finish(numSamples) {
      const isFinite = divideVector(average, root!.values, numSamples);
      root!.release();
      if (codec.asBytes || !isFinite) return isFinite;
      codec.encode(encoded, average);
      codec.decode(average, encoded);
      return divideVector(average, average, 1);
    },
  };
}
