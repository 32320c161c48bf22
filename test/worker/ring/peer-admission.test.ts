import { describe, expect, test } from 'vitest';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { createPeerAdmission } from '../../../worker/ring/peer-admission.ts';

const TOKEN = 'a1'.repeat(32);
const SOON_MS = 20_000;

/** A connection that has shown a token and a rank; the end of the one that connected. */
function knock(admission: ReturnType<typeof createPeerAdmission>, token: string, rank: number) {
  const [inside, outside] = memoryTransportPair(['a worker', 'a stranger']);
  void admission.admit(inside);
  outside.send({ kind: 'peerHello', token, rank });
  return { inside, outside };
}

describe('a worker lets in', () => {
  test('its predecessor, whether it comes before or after its rank is known', async () => {
    const early = createPeerAdmission(TOKEN);
    const { inside } = knock(early, TOKEN, 2);
    expect(await early.predecessor(2)).toBe(inside);

    const late = createPeerAdmission(TOKEN);
    const admitted = late.predecessor(2);
    expect(knock(late, TOKEN, 2).inside).toBe(await admitted);
  });

  test.each([
    ['another token', 'b2'.repeat(32), 2, 'token'],
    ['a token of another length', 'a1', 2, 'token'],
    ['another rank', TOKEN, 1, 'rank 1 was not expected here, but 2'],
  ])('nobody with %s', async (_what, token, rank, message) => {
    const admission = createPeerAdmission(TOKEN);
    void admission.predecessor(2).catch(() => {});
    await expect(knock(admission, token, rank).outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({
      code: 'ERR_PEER_REFUSED',
      message: expect.stringContaining(message),
    });
    admission.close();
  });

  test('nobody who says something else first', async () => {
    const admission = createPeerAdmission(TOKEN);
    const [inside, outside] = memoryTransportPair();
    void admission.admit(inside);
    outside.send({ kind: 'hello', name: 'local-1' });
    await expect(outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({ code: 'ERR_UNEXPECTED_MESSAGE' });
  });

  test('no second one', async () => {
    const admission = createPeerAdmission(TOKEN);
    const first = knock(admission, TOKEN, 2);
    expect(await admission.predecessor(2)).toBe(first.inside);
    await expect(knock(admission, TOKEN, 2).outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({
      code: 'ERR_PEER_REFUSED',
      message: expect.stringContaining('connected already'),
    });
    await expect(first.outside.receive(1, 'anything')).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  });
});
