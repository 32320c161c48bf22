/** What every Transport must do. Run over the memory pair and over real sockets. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { ProtocolError } from '../../protocol/errors.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { ReceiveInterrupted, receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { ALL_MESSAGES, SAMPLE_MESSAGES } from '../helpers/messages.ts';

const SOON_MS = 20_000;

/** `connect` returns both ends of a fresh connection and a way to free what it opened. */
export function transportContract(
  name: string,
  connect: () => Promise<{ ends: [Transport, Transport]; free: () => Promise<void> }>,
): void {
  const pair = async () => {
    const { ends, free } = await connect();
    onTestFinished(async () => {
      for (const end of ends) end.close();
      await free();
    });
    return ends;
  };
  const ordinary: Message[] = ALL_MESSAGES.filter(({ kind }) => kind !== 'error');

  describe(`the ${name} transport`, () => {
    test('delivers every kind of message, in order, both ways', async () => {
      const [a, b] = await pair();
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const message of ordinary) from.send(message);
        for (const message of ordinary) expect(await to.receive(SOON_MS, 'a message')).toEqual(message);
      }
    });

    test('measures a round trip while the other end receives, and none over a channel that has ended', async () => {
      const [a, b] = await pair();
      const received = b.receive(SOON_MS, 'a message');
      expect(await a.measureRoundTrip(SOON_MS)).toBeGreaterThanOrEqual(0);
      expect(await a.measureRoundTrip(SOON_MS)).toBeGreaterThanOrEqual(0);
      a.send(ordinary[0]!);
      expect(await received).toEqual(ordinary[0]);
      a.close();
      expect(await a.measureRoundTrip(SOON_MS)).toBeUndefined();
    });

    test('delivers a payload of megabytes whole', async () => {
      const [a, b] = await pair();
      const payload = Float32Array.from({ length: 1_000_003 }, (_, i) => i / 7);
      a.send({ ...SAMPLE_MESSAGES.snapshot, payload });
      const { payload: received } = await receiveKind(b, SOON_MS, 'snapshot');
      expect(
        Buffer.compare(
          Buffer.from(received.buffer, received.byteOffset, received.byteLength),
          Buffer.from(payload.buffer),
        ),
      ).toBe(0);
    });

    test('a payload given back is no concern of those that come later, nor of those that are kept', async () => {
      const [a, b] = await pair();
      const exchange = async (value: number) => {
        const sent = new Float32Array(50_000).fill(value);
        a.send({ ...SAMPLE_MESSAGES.snapshot, payload: sent });
        return (await receiveKind(b, SOON_MS, 'snapshot')).payload;
      };
      const kept = await exchange(1);
      b.recycle(await exchange(2));
      const third = await exchange(3);
      expect([kept, third].map((values) => [values.length, ...new Set(values)])).toEqual([
        [50_000, 1],
        [50_000, 3],
      ]);
    });

    test('sends without running the receiver first', async () => {
      const [a, b] = await pair();
      let wasReceived = false;
      const reception = b.receive(SOON_MS, 'hello').then(() => (wasReceived = true));
      a.send(SAMPLE_MESSAGES.hello);
      expect(wasReceived).toBe(false);
      await reception;
    });

    test('rejects a receive at its deadline, naming what was awaited, and works on', async () => {
      const [a, b] = await pair();
      await expect(b.receive(1, 'a gradient')).rejects.toMatchObject({
        code: 'ERR_TIMEOUT',
        message: expect.stringContaining('a gradient'),
      });
      a.send(SAMPLE_MESSAGES.hello);
      expect(await b.receive(SOON_MS, 'hello')).toEqual(SAMPLE_MESSAGES.hello);
    });

    test('ends a receive that is interrupted, and keeps the message for the next one', async () => {
      const [a, b] = await pair();
      const reception = b.receive(SOON_MS, 'hello');
      b.interrupt();
      const next = b.receive(SOON_MS, 'hello');
      await expect(reception).rejects.toThrow(ReceiveInterrupted);
      a.send(SAMPLE_MESSAGES.hello);
      expect(await next).toEqual(SAMPLE_MESSAGES.hello);
      b.interrupt();
    });

    test('rejects a message of another kind than the one awaited', async () => {
      const [a, b] = await pair();
      a.send(SAMPLE_MESSAGES.hello);
      await expect(receiveKind(b, SOON_MS, 'gradient')).rejects.toMatchObject({ code: 'ERR_UNEXPECTED_MESSAGE' });
    });

    test('delivers what was sent before the close, then ERR_CLOSED', async () => {
      const [a, b] = await pair();
      a.send(SAMPLE_MESSAGES.hello);
      a.close();
      expect(await b.receive(SOON_MS, 'hello')).toEqual(SAMPLE_MESSAGES.hello);
      await expect(b.receive(SOON_MS, 'more')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      expect((await b.closed).code).toBe('ERR_CLOSED');
    });

    test('tells the peer the code of the error it is closed with', async () => {
      const [a, b] = await pair();
      const reception = b.receive(SOON_MS, 'anything');
      a.close(new ProtocolError('ERR_STALE_RESULT', 'too late'));
      await expect(reception).rejects.toMatchObject({
        code: 'ERR_STALE_RESULT',
        message: expect.stringContaining('too late'),
      });
      await expect(a.receive(SOON_MS, 'anything')).rejects.toMatchObject({ code: 'ERR_STALE_RESULT' });
    });

    test('refuses to send once closed, and closing again is harmless', async () => {
      const [a] = await pair();
      a.close();
      a.close();
      expect(() => a.send(SAMPLE_MESSAGES.hello)).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
    });

    test('has a message of every kind to deliver', () => {
      expect(ALL_MESSAGES.length).toBe(ordinary.length + 1);
    });
  });
}
