/** What many members have in common is made once. */
import { expect, test } from 'vitest';
import { createStar } from '../../../../coordinator/all-reduce/star/star.ts';
import { createFleet } from '../../../../coordinator/members/fleet.ts';
import { planStep } from '../../../../coordinator/step/step-plan.ts';
import { planModel } from '../../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../../protocol/state/replica.ts';
import { updateRates } from '../../../../protocol/vectors/optimizer.ts';
import { createVectorCodec } from '../../../../protocol/vectors/vector-codec.ts';
import { receiveKind } from '../../../../protocol/wire/transport.ts';
import { TINY_MODEL } from '../../../helpers/cluster.ts';
import { createTestMember } from '../../../helpers/members.ts';
import { PLAIN_SGD } from '../../../helpers/optimizers.ts';

const NUM_MEMBERS = 50;
const MOST_MS = 20_000;

test('the average of a step is encoded once, and the parameters are hashed once, for all members', async () => {
  const plan = planModel(TINY_MODEL);
  const real = createReplica(plan, PLAIN_SGD, 1);
  let numHashes = 0;
  const parametersSha256 = () => {
    numHashes++;
    return real.parametersSha256();
  };
  // Its step changes, so it is looked up in the real one.
  const replica = Object.create(real, { parametersSha256: { value: parametersSha256 } }) as typeof real;
  const crowd = Array.from({ length: NUM_MEMBERS }, (_, i) => createTestMember(`member ${i}`));
  const members = crowd.map(({ member }) => member);
  const fleet = createFleet(members, { replica, stepTimeoutMs: MOST_MS, waitMs: 0, maxMembers: NUM_MEMBERS });
  const star = createStar(fleet, replica, { stepTimeoutMs: MOST_MS, wire: 'bf16' });
  const ratesAt = (step: number) => updateRates(PLAIN_SGD, 0.5, step);
  const sizes = { globalBatch: NUM_MEMBERS, microbatches: NUM_MEMBERS, numTrainSamples: 1000, ratesAt };
  const step = planStep(1, members, sizes);
  star.open(step);
  const codec = createVectorCodec('bf16', plan);
  const payload = new Uint8Array(codec.payloadBytes);
  for (const { worker } of crowd) {
    const { assignment } = await receiveKind(worker, MOST_MS, 'step');
    const sums = { lossSum: 0, numCorrect: 0, numSamples: 1 };
    const node = { step: 1, firstMicrobatch: assignment.firstMicrobatch, numMicrobatches: 1, microbatches: [sums] };
    worker.send({ kind: 'gradient', ...node, computeMs: 1, encodeMs: 1, applyMs: 1, payload });
  }
  expect((await star.collect(step)).isFinite).toBe(true);
  star.distribute(step);
  const updates = await Promise.all(crowd.map(({ worker }) => receiveKind(worker, MOST_MS, 'update')));
  expect(new Set(updates.map((update) => update.payload)).size).toBe(1);
  star.apply(step);
  const sum = real.parametersSha256();
  for (const { worker } of crowd) {
    worker.send({ kind: 'applied', step: 1, parametersSha256: sum, applyMs: 1, hashMs: 1 });
  }
  expect(await star.confirm()).toHaveLength(NUM_MEMBERS);
  expect(numHashes).toBe(1);
});
