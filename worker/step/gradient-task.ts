/**
 * The work of a step on one worker: compute the contribution of each assigned microbatch, add up the subtrees that are
 * whole here, send each one's root as soon as it is there.
 */
import { createReducer, wholeSubtrees } from '../../protocol/vectors/reduction.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import type { Assignment, MessageOf, Sums } from '../../protocol/wire/messages.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { assignedMicrobatches, viewVector } from './contribution.ts';
import type { BatchSizes, Contribution, ContributionVector } from './contribution.ts';
import { createGradientEncoder } from './gradient-encoder.ts';
import { createGradientSender } from './gradient-sender.ts';
import type { StepTrace } from './step-trace.ts';

export interface GradientTask {
  /** Computes and sends an assignment's gradients; `applyMs` is what the update before it took, for the record. */
  compute(assignment: Assignment, applyMs: number): Promise<void>;
  /** Tells that the averages of the open step's first `count` buckets have arrived. */
  averagesArrived(count: number): void;
  /** Tells that the coordinator has the gradients of the last assignment: their memory may be used again. */
  gradientsArrived(): void;
  /** Tells that nobody waits for what has not been sent. */
  forget(): void;
}

interface TaskOptions {
  readonly transport: Transport;
  readonly welcome: BatchSizes & Pick<MessageOf<'welcome'>, 'wire'>;
  readonly contribution: Contribution;
  readonly vectorMath: VectorMath;
  /** Where what travels lies. Default: in the process's own memory. */
  readonly allocate?: PayloadAllocator;
  /** Told when what is done. Default: nobody asks. */
  readonly trace?: StepTrace | undefined;
}

export function createGradientTask(options: TaskOptions): GradientTask {
  const { transport, welcome, vectorMath, contribution, trace } = options;
  const { layout } = contribution;
  const encoder = createGradientEncoder(welcome.wire, layout, vectorMath, options.allocate);
  const sender = createGradientSender(transport);
  let lastStep = 0;
  /** Views are made once for each vector: vectors come back. */
  const viewsOf = rememberAll((values: Float32Array<ArrayBuffer>) => viewVector(values, layout));

  const combine = (left: ContributionVector, right: ContributionVector): ContributionVector => {
    vectorMath.addVectors(left.values, left.values, right.values);
    encoder.free(right.values);
    return left;
  };

  const release = () => {
    sender.forget();
    encoder.arrived();
  };

  return {
    averagesArrived: (count) => sender.averagesArrived(count),
    gradientsArrived: release,
    forget: release,
    async compute(assignment, applyMs) {
      const { step } = assignment;
      // More of a step is what another worker did not finish: everyone waits for it, and averages may be back already.
      const isMore = step === lastStep;
      lastStep = step;
      const { range, numParts } = assignedMicrobatches(assignment, welcome);
      const reducer = createReducer(numParts, wholeSubtrees(range, numParts), combine);

      // What was carried over from vectors that were not finite is not, either.
      if (assignment.isRepeat) encoder.reset();

      const moments = trace?.open(step);
      let microbatches: Sums[] = [];
      let computeMs = 0;
      let whatIsNotFinite: string | undefined;
      let startMs = performance.now();
      for (let index = range.first; index < range.first + range.count; index++) {
        const vector = viewsOf(encoder.take());
        moments?.begin();
        const { computeMs: ofMicrobatchMs, ...sums } = await contribution.compute(assignment, index, vector);
        moments?.end('computed');
        microbatches.push(sums);
        computeMs += ofMicrobatchMs;
        if (assignment.isRepeat) whatIsNotFinite ??= contribution.describeNonFinite(sums, vector);
        const root = reducer.add({ first: index, count: 1 }, vector);
        if (!root) continue;
        const { first: firstMicrobatch, count } = root.node;
        if (whatIsNotFinite !== undefined) {
          encoder.free(root.value.values);
          const what = whatIsNotFinite;
          transport.send({ kind: 'notFinite', step, firstMicrobatch, numMicrobatches: count, what });
          whatIsNotFinite = undefined;
          microbatches = [];
          continue;
        }
        moments?.begin();
        const payloads = encoder.encode(root.value.values, assignment.numBuckets);
        moments?.end('encoded');
        const encodeMs = performance.now() - startMs - computeMs;
        const place = { step, firstMicrobatch, numMicrobatches: count };
        const last = payloads.pop()!;
        const parts = payloads.map(
          (payload, bucket) => ({ kind: 'gradientBucket', ...place, bucket, payload }) as const,
        );
        const rest = { kind: 'gradient', ...place, microbatches, computeMs, encodeMs, applyMs, payload: last } as const;
        const timed = moments ? { ...rest, moments: moments.take() } : rest;
        sender.send([...parts, timed], !isMore && index === range.first + range.count - 1);
        microbatches = [];
        computeMs = 0;
        startMs = performance.now();
      }
    },
  };
}

/** The function with all its results kept, by the identity of their argument. */
function rememberAll<A extends object, R>(compute: (argument: A) => R): (argument: A) => R {
  const results = new WeakMap<A, R>();
  return (argument) => {
    const result = results.get(argument) ?? compute(argument);
    results.set(argument, result);
    return result;
  };
}
