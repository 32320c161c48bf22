import { expect, test } from 'vitest';
import { createFleet } from '../../../../coordinator/members/fleet.ts';
import { createStar } from '../../../../coordinator/all-reduce/star/star.ts';
import type { Member } from '../../../../coordinator/members/member.ts';
import { planStep } from '../../../../coordinator/step/step-plan.ts';
import { planModel } from '../../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import { createReplica } from '../../../../protocol/state/replica.ts';
import type { Message } from '../../../../protocol/wire/messages.ts';
import { memoryTransportPair } from '../../../../protocol/wire/transport.ts';
import { allReduceContract } from '../../../contracts/all-reduce.contract.ts';
import { PLAIN_SGD } from '../../../helpers/optimizers.ts';

// One gradient up and one average down for each worker.
allReduceContract('star', { workers: [1, 2, 3, 4, 5], payloadsPerStep: (numWorkers) => numWorkers });

test.each([
  ['conv', ['127.0.0.1:5001', '127.0.0.1:5002'], 1],
  ['conv', ['127.0.0.1:5001', '10.0.0.7:5002'], 7],
  ['conv-pool', ['10.0.0.6:5001', '10.0.0.7:5002'], 1],
] as const)('%s between %j travels in %i buckets', (model, peers, numBuckets) => {
  const sent: Message[] = [];
  const members = peers.map((peer, index): Member => {
    const transport = { ...memoryTransportPair()[0], peer, send: (message: Message) => void sent.push(message) };
    return { id: `w${index}`, name: `w${index}`, engine: 'none', device: 'none', threads: 1, transport };
  });
  const replica = createReplica(planModel(MODELS[model]), PLAIN_SGD, 1);
  const fleet = createFleet(members, { replica, stepTimeoutMs: 1000, waitMs: 0, maxMembers: 2 });
  const star = createStar(fleet, replica, { stepTimeoutMs: 1000, wire: 'f32' });
  const ratesAt = () => ({ learningRate: 1, stepSize: 1, secondMomentScale: 1 });
  star.open(planStep(1, members, { globalBatch: 2, microbatches: 2, numTrainSamples: 4, ratesAt }));
  expect(sent).toHaveLength(2);
  for (const message of sent) expect(message).toMatchObject({ kind: 'step', assignment: { numBuckets } });
});
