/**
 * The memories of a star's averages.
 *
 * Members read an average where it lies, or are sent it from there, so it must not be overwritten while a member may still
 * read it. There are two memories, which the steps use in turn: an average is overwritten two steps later. By then each
 * member has answered the update that came with it, by gradients of the next step or by proof of the state that it led to.
 * A member that has not answered because others did its part is set aside, and is sent the whole state.
 */
import { cutIntoBuckets } from '../../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { VectorLayout } from '../../../protocol/vectors/layout.ts';
import type { VectorMath } from '../../../protocol/vectors/vector-math.ts';
import { allocateOwn } from '../../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../../protocol/wire/shared-memory.ts';
import { createBucketAverage } from './bucket-average.ts';
import type { BucketAverage } from './bucket-average.ts';

export interface Average {
  /** The whole average: [gradient | statistics]. */
  readonly vector: Float32Array<ArrayBuffer>;
  readonly buckets: readonly BucketAverage[];
}

export interface AverageMemories {
  readonly numBuckets: number;
  /** Of the step at hand. */
  readonly current: Average;
  /** The next step begins. */
  turn(): void;
}

export interface AverageOptions {
  readonly layout: VectorLayout;
  readonly wire: WireFormat;
  readonly vectorMath: VectorMath;
  /** Where averages lie: in memory that members share, if any do. */
  readonly allocate: PayloadAllocator;
  readonly numBuckets: number;
}

export function createAverageMemories(options: AverageOptions): AverageMemories {
  const { layout, wire, vectorMath, allocate } = options;
  const vectorBytes = (layout.numParameters + layout.numBuffers) * Float32Array.BYTES_PER_ELEMENT;
  const parts = cutIntoBuckets(layout, options.numBuckets);
  const create = (): Average => {
    // What travels lies where members may read it: the average itself, or its encoded form.
    const { buffer, byteOffset, byteLength } = (wire === 'f32' ? allocate : allocateOwn)(vectorBytes);
    const vector = new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
    return { vector, buckets: parts.map((part) => createBucketAverage(part, vector, wire, vectorMath, allocate)) };
  };
  let [current, before] = [create(), create()];
  return {
    numBuckets: parts.length,
    get current() {
      return current;
    },
    turn() {
      [current, before] = [before, current];
    },
  };
}
