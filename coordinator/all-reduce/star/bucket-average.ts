/** One bucket of a star's vector: completes the reduction tree as parts arrive, divides, and encodes the average. */
import { planReduction } from '../../../protocol/vectors/reduction.ts';
import type { ReductionPlan, TreeNode } from '../../../protocol/vectors/reduction.ts';
import type { VectorMath } from '../../../protocol/vectors/vector-math.ts';
import { bucketOf } from '../../../protocol/vectors/buckets.ts';
import type { Bucket } from '../../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { PayloadAllocator } from '../../../protocol/wire/shared-memory.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

/** The sum over a node's microbatches, as a worker sent it. */
interface Leaf {
  readonly node: TreeNode;
  /** Its values from `first` to `end`. */
  readonly block: (first: number, end: number) => Block;
  /** Gives its memory back to where it came from. */
  release(): void;
}

/** A block of a vector on its way up the tree. */
interface Block {
  readonly values: Floats;
  /** Whether it was summed here: only then it may be written to. */
  readonly isOwn: boolean;
}

/**
 * Sums are made in blocks of this many values, through the whole tree: what is being added up stays in a core's cache,
 * and every part is read from memory once.
 */
const BLOCK_VALUES = 16 * 1024;

export interface BucketAverage {
  /** The finished average as it travels. */
  readonly payload: Bytes;
  /** Begins a step. */
  open(numMicrobatches: number): void;
  /** Whether the sum over these microbatches is here already. */
  has(node: TreeNode): boolean;
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
  averages: Floats,
  wire: WireFormat,
  vectorMath: VectorMath,
  allocate: PayloadAllocator,
): BucketAverage {
  const { addVectors, divideVector } = vectorMath;
  const codec = createVectorCodec(wire, bucket, vectorMath);
  const average = bucketOf(averages, bucket);
  const encoded = codec.asBytes?.(average) ?? allocate(codec.payloadBytes);
  /** Memory to decode into and to sum in, kept from step to step. */
  const freeVectors: Floats[] = [];
  const freeBlocks: Block[] = [];
  let leaves: Leaf[] = [];
  const present = new Set<string>();
  let numMicrobatches = 0;
  let numAdded = 0;

  /** Blocks of the payload itself, of what it decodes to block by block, or of the whole of it decoded before. */
  const leafOf = (node: TreeNode, payload: Bytes, transport: Pick<Transport, 'recycle'>): Leaf => {
    const release = () => transport.recycle(payload);
    const { decodeRun } = codec;
    if (codec.asVector) return { node, block: blocksOf(codec.asVector(payload)), release };
    codec.check(payload);
    if (decodeRun) {
      const block = (first: number, end: number): Block => {
        const own = freeBlocks.pop() ?? ownBlock();
        decodeRun(own.values.subarray(0, end - first), payload, first);
        return own;
      };
      return { node, block, release };
    }
    const values = freeVectors.pop() ?? new Float32Array(average.length);
    codec.decode(values, payload);
    release();
    return { node, block: blocksOf(values), release: () => void freeVectors.push(values) };
  };

  const combine = (left: Block, right: Block): Block => {
    // The last block of a vector is shorter than those that are kept.
    const length = Math.min(left.values.length, right.values.length);
    const sum = [left, right].find(({ isOwn }) => isOwn) ?? freeBlocks.pop() ?? ownBlock();
    const other = [left, right].find((block) => block !== sum && block.isOwn);
    const part = ({ values }: Block) => (values.length === length ? values : values.subarray(0, length));
    addVectors(part(sum), part(left), part(right));
    if (other) freeBlocks.push(other);
    return sum;
  };

  /** The sum of one block of all leaves: a leaf's block is made when its turn comes, and added up as soon as it can be. */
  const reduceBlocks = (
    { additions, root }: ReductionPlan,
    parts: readonly Leaf[],
    first: number,
    end: number,
  ): Block => {
    const blocks: Block[] = [];
    let next = parts.length;
    for (const [i, { block }] of parts.entries()) {
      blocks[i] = block(first, end);
      for (const [left, right] of additions[i]!) blocks[next++] = combine(blocks[left]!, blocks[right]!);
    }
    return blocks[root]!;
  };

  return {
    payload: encoded,
    open(count) {
      numMicrobatches = count;
      numAdded = 0;
      leaves = [];
      present.clear();
    },
    has: (node) => present.has(keyOf(node)),
    add(node, payload, transport) {
      // A payload that is refused is not there: another worker computes the part again.
      leaves.push(leafOf(node, payload, transport));
      present.add(keyOf(node));
      numAdded += node.count;
      return numAdded === numMicrobatches;
    },
    finish(numSamples) {
      let isFinite = true;
      const plan = planReduction(
        numMicrobatches,
        leaves.map(({ node }) => node),
      );
      for (let first = 0; first < average.length; first += BLOCK_VALUES) {
        const end = Math.min(first + BLOCK_VALUES, average.length);
        const root = reduceBlocks(plan, leaves, first, end);
        const sum = root.values.subarray(0, end - first);
        isFinite = divideVector(average.subarray(first, end), sum, numSamples) && isFinite;
        if (root.isOwn) freeBlocks.push(root);
      }
      for (const leaf of leaves) leaf.release();
      if (codec.asBytes || !isFinite) return isFinite;
      codec.encode(encoded, average);
      codec.decode(average, encoded);
      return divideVector(average, average, 1);
    },
  };
}

const keyOf = ({ first, count }: TreeNode): string => `${first}+${count}`;

const blocksOf =
  (values: Floats) =>
  (first: number, end: number): Block => ({ values: values.subarray(first, end), isOwn: false });

const ownBlock = (): Block => ({ values: new Float32Array(BLOCK_VALUES), isOwn: true });
