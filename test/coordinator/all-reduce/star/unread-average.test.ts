/** Members read averages where they lie, or are sent them from there: late ones, too. */
import { expect, test } from 'vitest';
import { createStar } from '../../../../coordinator/all-reduce/star/star.ts';
import { createFleet } from '../../../../coordinator/members/fleet.ts';
import { planStep } from '../../../../coordinator/step/step-plan.ts';
import { planModel } from '../../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../../protocol/state/replica.ts';
import { cutIntoBuckets } from '../../../../protocol/vectors/buckets.ts';
import { updateRates } from '../../../../protocol/vectors/optimizer.ts';
import type { Assignment, MessageOf } from '../../../../protocol/wire/messages.ts';
import { receiveKind } from '../../../../protocol/wire/transport.ts';
import type { Transport } from '../../../../protocol/wire/transport.ts';
import { WIDE_MODEL } from '../../../helpers/cluster.ts';
import { createTestMember } from '../../../helpers/members.ts';
import { PLAIN_SGD } from '../../../helpers/optimizers.ts';

/** The answer of a worker whose gradient is `value` everywhere: a sum over one sample. */
function sendSum(
  worker: Transport,
  { step, firstMicrobatch }: Pick<Assignment, 'step' | 'firstMicrobatch'>,
  value: number,
) {
  const node = { step, firstMicrobatch, numMicrobatches: 1 };
  const vectors = BUCKETS.map(({ numParameters, numBuffers }) =>
    new Float32Array(numParameters + numBuffers).fill(value),
  );
  const payloads = vectors.map(({ buffer }) => new Uint8Array(buffer));
  for (const [bucket, payload] of payloads.slice(0, -1).entries()) {
    worker.send({ kind: 'gradientBucket', ...node, bucket, payload });
  }
  const sums = { lossSum: 0, numCorrect: 0, numSamples: 1 };
  const times = { computeMs: 1, encodeMs: 1, applyMs: 1 };
  return () => worker.send({ kind: 'gradient', ...node, microbatches: [sums], ...times, payload: payloads.at(-1)! });
}

const plan = planModel(WIDE_MODEL);
const BUCKETS = cutIntoBuckets(plan, 2);
const MOST_RECEIVED_MS = 20_000;

test('an average stays as it was until its members have read it, or are members no more', async () => {
  expect(BUCKETS).toHaveLength(2);
  const replica = createReplica(plan, PLAIN_SGD, 1);
  const [fast, slow] = [createTestMember('fast'), createTestMember('slow')];
  const limits = { stepTimeoutMs: 60_000, waitMs: 0, maxMembers: 2 };
  const fleet = createFleet([fast.member, slow.member], { replica, ...limits });
  const star = createStar(fleet, replica, { stepTimeoutMs: 60_000, wire: 'f32', numBuckets: 2, lateMs: 1 });
  const ratesAt = (step: number) => updateRates(PLAIN_SGD, 0.5, step);
  const planOf = (step: number) =>
    planStep(step, [fast.member, slow.member], { globalBatch: 2, microbatches: 2, numTrainSamples: 1000, ratesAt });
  const next = (worker: Transport) => receiveKind(worker, MOST_RECEIVED_MS, 'step', 'averageBucket', 'update');

  // Enough steps to know how long one takes.
  const numSteps = 6;
  star.open(planOf(1));
  for (const { worker } of [fast, slow]) expect(await next(worker)).toMatchObject({ kind: 'step' });
  for (let step = 1; step <= numSteps; step++) {
    sendSum(fast.worker, { step, firstMicrobatch: 0 }, step)();
    sendSum(slow.worker, { step, firstMicrobatch: 1 }, step)();
    await star.collect(planOf(step));
    star.distribute(planOf(step), planOf(step + 1));
    star.apply(planOf(step));
    if (step === numSteps) break;
    for (const { worker } of [fast, slow]) {
      expect(await next(worker)).toMatchObject({ kind: 'averageBucket' });
      expect(await next(worker)).toMatchObject({ kind: 'update' });
    }
  }

  // The slow one reads nothing any more; the fast one is asked for its part as well.
  const step = numSteps + 1;
  const collected = star.collect(planOf(step));
  for (const kind of ['averageBucket', 'update']) expect(await next(fast.worker)).toMatchObject({ kind });
  sendSum(fast.worker, { step, firstMicrobatch: 0 }, step)();
  expect(await next(fast.worker)).toMatchObject({ kind: 'step', assignment: { firstMicrobatch: 1 } });
  const finish = sendSum(fast.worker, { step, firstMicrobatch: 1 }, step);
  expect(await next(fast.worker)).toMatchObject({ kind: 'averageBucket', step });

  const valuesOf = ({ payload }: MessageOf<'averageBucket' | 'update'>) =>
    new Set(new Float32Array(payload.buffer, payload.byteOffset, payload.byteLength / 4));
  for (const kind of ['averageBucket', 'update'] as const) {
    const unread = (await next(slow.worker)) as MessageOf<'averageBucket' | 'update'>;
    expect(unread).toMatchObject({ kind, step: numSteps });
    expect(valuesOf(unread)).toEqual(new Set([numSteps]));
  }
  finish();
  await collected;
  expect(fleet.members).toEqual([fast.member]);
});
