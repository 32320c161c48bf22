import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ProtocolError } from '../../../protocol/errors.ts';
import { encodeFrame } from '../../../protocol/wire/frame.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { createRateLimit, NO_PEER_LIMITS, STRANGER_LIMITS } from '../../../protocol/wire/peer-limits.ts';
import { socketTransport } from '../../../protocol/wire/socket-transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { connectedPair, startTestServer } from '../../helpers/sockets.ts';

describe('a rate limit', () => {
  test('allows two seconds worth at once, then as many as time brings', () => {
    let nowMs = 0;
    const rate = createRateLimit(10, () => nowMs);
    const allowed = () => Array.from({ length: 50 }, () => rate.allows()).filter(Boolean).length;
    expect(allowed()).toBe(20);
    nowMs += 500;
    expect(allowed()).toBe(5);
    nowMs += 60_000;
    expect(allowed()).toBe(20);
  });
});

describe('a peer with limits', () => {
  /** Both ends of a connection; the first has limits for the second. */
  async function pair(limits: object) {
    const { ends, free } = await connectedPair();
    onTestFinished(async () => {
      for (const end of ends) end.close();
      await free();
    });
    ends[0].limit({ ...NO_PEER_LIMITS, ...limits });
    return ends;
  }

  test('may send a payload up to its limit, and is ended by the head of a longer one', async () => {
    const [own, peer] = await pair({ maxPayloadBytes: 4000 });
    peer.send({ ...SAMPLE_MESSAGES.snapshot, payload: new Float32Array(1000) });
    expect(await own.receive(10_000, 'snapshot')).toMatchObject({ kind: 'snapshot' });
    peer.send({ ...SAMPLE_MESSAGES.snapshot, payload: new Float32Array(1001) });
    expect((await own.closed).message).toBe('snapshot: 4004 bytes of payload, expected at most 4000');
    await expect(peer.receive(10_000, 'anything')).rejects.toMatchObject({ code: 'ERR_FRAME_TOO_LARGE' });
  });

  test.each([
    ['a payload', SAMPLE_MESSAGES.snapshot],
    [
      'a long header',
      {
        ...SAMPLE_MESSAGES.evaluation,
        chunks: Array.from({ length: 400 }, () => SAMPLE_MESSAGES.gradient.microbatches[0]!),
      },
    ],
  ])('that is a stranger may not send %s', async (_what, message) => {
    const [own, peer] = await pair(STRANGER_LIMITS);
    peer.send(message);
    expect((await own.closed).code).toBe('ERR_FRAME_TOO_LARGE');
  });

  test('is ended when it sends too many messages', async () => {
    const [own, peer] = await pair(STRANGER_LIMITS);
    for (let i = 0; i < 3 * LIMITS.messagesPerSecond; i++) peer.send(SAMPLE_MESSAGES.hello);
    expect((await own.closed).code).toBe('ERR_TOO_MANY_MESSAGES');
    await expect(peer.receive(10_000, 'anything')).rejects.toMatchObject({ code: 'ERR_TOO_MANY_MESSAGES' });
  });

  test('without limits sends as many messages as it likes', async () => {
    const [own, peer] = await pair({});
    for (let i = 0; i < 1000; i++) peer.send(SAMPLE_MESSAGES.applied);
    for (let i = 0; i < 1000; i++) expect((await own.receive(10_000, 'applied')).kind).toBe('applied');
  });

  test('sends what is not read no further than its limit, and all of it arrives when it is read', async () => {
    const [own, peer] = await pair({ maxUnreadMessages: 4 });
    const count = 20_000;
    for (let step = 0; step < count; step++) peer.send({ ...SAMPLE_MESSAGES.applied, step });
    await expect.poll(() => own.bytesReceived).toBeGreaterThan(0);
    // Another connection's coming and going takes longer than to read all would.
    for (let i = 0; i < 5; i++) (await pair({}))[0].close();
    // A read from the system, of 64 KiB, is more than four messages.
    expect(own.bytesReceived).toBeLessThan(100_000);
    for (let step = 0; step < count; step++) {
      expect(await own.receive(10_000, 'applied')).toMatchObject({ step });
    }
    expect(own.bytesReceived).toBe(peer.bytesSent);
  });

  test('whose payloads wait unread is held back by their bytes', async () => {
    const payload = new Float32Array(2 ** 16);
    const [own, peer] = await pair({ maxUnreadBytes: 2 * payload.byteLength });
    const count = 40;
    for (let step = 0; step < count; step++) peer.send({ ...SAMPLE_MESSAGES.snapshot, step, payload });
    await expect.poll(() => own.bytesReceived).toBeGreaterThan(2 * payload.byteLength);
    for (let i = 0; i < 5; i++) (await pair({}))[0].close();
    expect(own.bytesReceived).toBeLessThan(5 * payload.byteLength);
    for (let step = 0; step < count; step++) {
      expect(await own.receive(10_000, 'snapshot')).toMatchObject({ step });
    }
  });

  test('that is held back learns why it is ended', async () => {
    const [own, peer] = await pair({ maxUnreadMessages: 4 });
    for (let i = 0; i < 20_000; i++) peer.send(SAMPLE_MESSAGES.applied);
    await expect.poll(() => own.bytesReceived).toBeGreaterThan(0);
    own.close(new ProtocolError('ERR_STALE_RESULT', 'enough'));
    expect((await peer.closed).code).toBe('ERR_STALE_RESULT');
  });

  test('is not blamed for its silence while nobody listens, but after that it is', async () => {
    const { own, socket, calls } = onVirtualTime();
    own.limit({ ...NO_PEER_LIMITS, maxUnreadMessages: 2 });
    let end: string | undefined;
    void own.closed.then(({ code }) => (end = code));
    for (let i = 0; i < 3; i++) socket.emit('message', Buffer.from(encodeFrame(SAMPLE_MESSAGES.applied).head), true);
    expect(calls).toEqual(['pause']);
    await vi.advanceTimersByTimeAsync(5 * LIMITS.silenceMs);
    expect(end).toBeUndefined();
    for (let i = 0; i < 2; i++) await own.receive(1, 'applied');
    expect(calls).toEqual(['pause', 'resume']);
    await vi.advanceTimersByTimeAsync(2 * LIMITS.silenceMs);
    expect(end).toBe('ERR_TIMEOUT');
  });

  test('is lost once it has been silent for longer than its limit, and not before', async () => {
    const { own } = onVirtualTime();
    own.limit({ ...NO_PEER_LIMITS, maxSilenceMs: 60_000 });
    let end: ProtocolError | undefined;
    void own.closed.then((error) => (end = error));
    await vi.advanceTimersByTimeAsync(59_000);
    expect(end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2 * LIMITS.pingIntervalMs);
    expect(end).toMatchObject({ code: 'ERR_TIMEOUT', message: 'peer has not answered for 60 s' });
  });

  test('that does not read is dropped when more is queued for it than its limit', async () => {
    let accept!: (transport: Transport) => void;
    const accepted = new Promise<Transport>((resolve) => (accept = resolve));
    const server = await startTestServer(accept);
    const raw = connect(Number(new URL(server.joinUrl).port), '127.0.0.1').pause();
    onTestFinished(async () => {
      raw.destroy();
      await server.close();
    });
    raw.write(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const transport = await accepted;
    transport.limit({ ...NO_PEER_LIMITS, maxQueuedBytes: 2 ** 20 });
    const payload = new Float32Array(2 ** 18);
    const sendMany = () => {
      for (let i = 0; i < 100; i++) transport.send({ ...SAMPLE_MESSAGES.snapshot, payload });
    };
    expect(sendMany).toThrow(expect.objectContaining({ code: 'ERR_SEND_QUEUE_FULL' }));
    expect((await transport.closed).code).toBe('ERR_SEND_QUEUE_FULL');
    expect(sendMany).toThrow(expect.objectContaining({ code: 'ERR_SEND_QUEUE_FULL' }));
    raw.resume();
    await once(raw, 'close');
  });

  test('that pings without end is ended', async () => {
    let accept!: (transport: Transport) => void;
    const accepted = new Promise<Transport>((resolve) => (accept = resolve));
    const server = await startTestServer(accept);
    const raw = connect(Number(new URL(server.joinUrl).port), '127.0.0.1');
    onTestFinished(async () => {
      raw.destroy();
      await server.close();
    });
    raw.write(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const transport = await accepted;
    const maskedPing = '898000000000';
    raw.write(Buffer.from(maskedPing.repeat(3 * LIMITS.messagesPerSecond), 'hex'));
    expect((await transport.closed).code).toBe('ERR_TOO_MANY_MESSAGES');
  });
});

/** A transport over a socket that does nothing, and the calls of pause and resume; timers stand still until they are moved. */
function onVirtualTime() {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const calls: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    bufferedAmount: 0,
    send() {},
    ping() {},
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    terminate() {},
    close() {},
  });
  return { own: socketTransport(socket, { cork() {}, uncork() {} }, 'peer'), socket, calls };
}
