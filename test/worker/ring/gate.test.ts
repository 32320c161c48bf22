import { describe, expect, test } from 'vitest';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { createGate } from '../../../worker/ring/gate.ts';

const TOKEN = 'a1'.repeat(32);
const SOON_MS = 20_000;

/** A connection that has shown a token and a rank; the end of the one that connected. */
function knock(gate: ReturnType<typeof createGate>, token: string, rank: number) {
  const [inside, outside] = memoryTransportPair(['the gate', 'a stranger']);
  void gate.admit(inside);
  outside.send({ kind: 'peerHello', token, rank });
  return { inside, outside };
}

describe('a worker lets in', () => {
  test('its predecessor, whether it comes before or after its rank is known', async () => {
    const early = createGate(TOKEN);
    const { inside } = knock(early, TOKEN, 2);
    expect(await early.predecessor(2)).toBe(inside);

    const late = createGate(TOKEN);
    const admitted = late.predecessor(2);
    expect(knock(late, TOKEN, 2).inside).toBe(await admitted);
  });

  test.each([
    ['another token', 'b2'.repeat(32), 2, 'token'],
    ['a token of another length', 'a1', 2, 'token'],
    ['another rank', TOKEN, 1, 'rank 1 was not expected here, but 2'],
  ])('nobody with %s', async (_what, token, rank, message) => {
    const gate = createGate(TOKEN);
    void gate.predecessor(2).catch(() => {});
    await expect(knock(gate, token, rank).outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({
      code: 'ERR_PEER_REFUSED',
      message: expect.stringContaining(message),
    });
    gate.close();
  });

  test('nobody who says something else first', async () => {
    const gate = createGate(TOKEN);
    const [inside, outside] = memoryTransportPair();
    void gate.admit(inside);
    outside.send({ kind: 'hello', name: 'local-1' });
    await expect(outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({ code: 'ERR_UNEXPECTED_MESSAGE' });
  });

  test('no second one', async () => {
    const gate = createGate(TOKEN);
    const first = knock(gate, TOKEN, 2);
    expect(await gate.predecessor(2)).toBe(first.inside);
    await expect(knock(gate, TOKEN, 2).outside.receive(SOON_MS, 'an answer')).rejects.toMatchObject({
      code: 'ERR_PEER_REFUSED',
      message: expect.stringContaining('connected already'),
    });
    await expect(first.outside.receive(1, 'anything')).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  });
});
