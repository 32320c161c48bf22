import { describe, expect, test } from 'vitest';
import { confirmMember } from '../../../coordinator/members/state-proof.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import { TINY_MODEL } from '../../helpers/cluster.ts';
import { createTestMember } from '../../helpers/members.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';

const replica = createReplica(planModel(TINY_MODEL), PLAIN_SGD, 1);
const proof = {
  kind: 'applied',
  step: 0,
  parametersSha256: replica.parametersSha256(),
  applyMs: 1,
  hashMs: 1,
} as const;
const { gradientBucket, gradient, notFinite } = SAMPLE_MESSAGES;

describe("a member's proof", () => {
  test('is found behind the parts of a sum that another member has answered first', async () => {
    const { member, worker } = createTestMember('late');
    for (const message of [gradientBucket, gradient, notFinite, proof]) worker.send(message);
    const seen: string[] = [];
    const confirmation = await confirmMember(member, replica, 1000, ({ kind }) => seen.push(kind) > 0);
    expect(confirmation.member).toBe(member);
    expect(seen).toEqual(['gradientBucket', 'gradient', 'notFinite']);
  });

  test('is not there when a part comes that nobody has answered', async () => {
    const { member, worker } = createTestMember('confused');
    worker.send(gradientBucket);
    worker.send(proof);
    await expect(confirmMember(member, replica, 1000)).rejects.toMatchObject({
      code: 'ERR_UNEXPECTED_MESSAGE',
      message: 'expected applied, got gradientBucket',
    });
  });

  test('of another state is refused', async () => {
    const { member, worker } = createTestMember('wrong');
    worker.send({ ...proof, parametersSha256: 'ab'.repeat(32) });
    await expect(confirmMember(member, replica, 1000)).rejects.toMatchObject({ code: 'ERR_STATE_MISMATCH' });
  });
});
