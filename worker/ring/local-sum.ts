/**
 * Local sum: a worker's own part of a step in a ring, as one vector [what travels | loss].
 *
 * The sum of the losses rides along so that every worker sees, as the coordinator would, whether it is a number; a
 * float32 is enough for that, and the figures of the epoch come from what the coordinator is told.
 */
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import { createReducer, wholeSubtrees } from '../../protocol/vectors/reduction.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import type { Assignment, Sums } from '../../protocol/wire/messages.ts';
import { assignedMicrobatches, viewVector } from '../step/contribution.ts';
import type { BatchSizes, Contribution } from '../step/contribution.ts';
import type { StepMoments } from '../step/step-trace.ts';

/** Values that are not encoded: those that the layout has, and the loss. */
export const numExactValues = ({ numBuffers }: Pick<VectorLayout, 'numBuffers'>): number => numBuffers + 1;

export interface LocalSumOptions {
  readonly welcome: BatchSizes;
  readonly contribution: Contribution;
  readonly vectorMath: VectorMath;
}

export interface LocalSum {
  /** As long as the layout and one more. The caller's until the next sum is asked for; zeros without a part. */
  readonly vector: Float32Array<ArrayBuffer>;
  readonly microbatches: Sums[];
  readonly computeMs: number;
  /** Gathering samples and adding up. */
  readonly encodeMs: number;
}

type ComputeSum = (assignment?: Assignment, moments?: StepMoments) => Promise<LocalSum>;

/**
 * Returns a function that computes an assignment's contributions and adds them up: subtrees, then roots in order. `moments`
 * are told of each microbatch.
 */
export function createLocalSum(options: LocalSumOptions): ComputeSum {
  const { welcome, contribution, vectorMath } = options;
  const { layout } = contribution;
  const lossAt = layout.numParameters + layout.numBuffers;
  const free: Float32Array<ArrayBuffer>[] = [];
  let last: Float32Array<ArrayBuffer> | undefined;

  const add = (left: Float32Array<ArrayBuffer>, right: Float32Array<ArrayBuffer>) => {
    vectorMath.addVectors(left, left, right);
    free.push(right);
    return left;
  };
  const takeVector = () => free.pop() ?? new Float32Array(lossAt + 1);

  return async (assignment, moments) => {
    const startMs = performance.now();
    if (last) free.push(last);
    last = undefined;
    const microbatches: Sums[] = [];
    let computeMs = 0;

    if (assignment) {
      const { range, numParts } = assignedMicrobatches(assignment, welcome);
      const reducer = createReducer(numParts, wholeSubtrees(range, numParts), add);
      for (let index = range.first; index < range.first + range.count; index++) {
        const vector = takeVector();
        const travelling = viewVector(vector.subarray(0, lossAt), layout);
        moments?.begin();
        const { computeMs: ofMicrobatchMs, ...sums } = await contribution.compute(assignment, index, travelling);
        moments?.end('computed');
        computeMs += ofMicrobatchMs;
        microbatches.push(sums);
        vector[lossAt] = sums.lossSum;
        const root = reducer.add({ first: index, count: 1 }, vector)?.value;
        if (root) last = last ? add(last, root) : root;
      }
    }
    last ??= takeVector().fill(0);
    return { vector: last, microbatches, computeMs, encodeMs: performance.now() - startMs - computeMs };
  };
}
