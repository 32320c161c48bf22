import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startRelay } from '../../../scripts/network/relay.ts';

const NO_DELAY = { out: 0, back: 0 };

/** A relay to a server of the test's own; both are gone after it. */
async function relayTo(
  serve: (socket: Socket) => void,
  { delaysMs = NO_DELAY, maxHeldBytes = 2 ** 20 }: { delaysMs?: typeof NO_DELAY; maxHeldBytes?: number } = {},
): Promise<Socket> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    onTestFinished(() => void socket.destroy());
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const relay = await startRelay({ address: '127.0.0.1', target: { host: '127.0.0.1', port }, delaysMs, maxHeldBytes });
  const socket = connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  onTestFinished(async () => {
    socket.destroy();
    server.close();
    await relay.close();
  });
  return socket;
}

/** All that arrives until the end, which leaves the socket open for writing. */
async function collect(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => pieces.push(bytes));
  socket.resume();
  await once(socket, 'end');
  return Buffer.concat(pieces);
}

/** Closed, with or without an error. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Bytes of which no two runs are alike. */
function patternOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((i * 2654435761) % 2 ** 32, i);
  return bytes;
}

describe('a relay', () => {
  it('holds bytes back by the delay of each direction', async () => {
    const socket = await relayTo((peer) => peer.pipe(peer), { delaysMs: { out: 40, back: 25 } });
    for (let round = 0; round < 3; round++) {
      const startMs = performance.now();
      socket.write('ping');
      await once(socket, 'data');
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(65);
    }
  });

  it('holds every byte back, also of those that follow each other at once', async () => {
    const arrivals: number[] = [];
    let received = 0;
    let allThere!: () => void;
    const everything = new Promise<void>((resolve) => (allThere = resolve));
    const socket = await relayTo(
      (peer) => {
        peer.on('data', (bytes) => {
          for (const sent of bytes) arrivals.push(performance.now() - sentMs[sent]!);
          received += bytes.length;
          if (received === 50) allThere();
        });
      },
      { delaysMs: { out: 30, back: 0 } },
    );
    socket.setNoDelay(true);
    const sentMs: number[] = [];
    for (let i = 0; i < 50; i++) {
      sentMs.push(performance.now());
      socket.write(Buffer.of(i));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await everything;
    for (const afterMs of arrivals) expect(afterMs).toBeGreaterThanOrEqual(30);
  });

  it('keeps the order of bytes, and passes on the end, of each direction by itself', async () => {
    const pattern = patternOf(3_000_004);
    const socket = await relayTo(
      (peer) => {
        void collect(peer).then((bytes) => peer.end(bytes.reverse()));
      },
      { delaysMs: { out: 2, back: 3 }, maxHeldBytes: 100_000 },
    );
    for (let at = 0; at < pattern.length; at += 7777) socket.write(pattern.subarray(at, at + 7777));
    socket.end();
    expect((await collect(socket)).equals(Buffer.from(pattern).reverse())).toBe(true);
  });

  it('loses nothing when the far end stops reading for a while', async () => {
    let paused!: (peer: Socket) => void;
    const far = new Promise<Socket>((resolve) => (paused = resolve));
    const socket = await relayTo((peer) => paused(peer.pause()), { delaysMs: { out: 1, back: 0 }, maxHeldBytes: 1000 });
    const pattern = patternOf(8_000_000);
    socket.end(pattern);
    const peer = await far;
    expect((await collect(peer)).equals(pattern)).toBe(true);
  });

  it('cuts one side when the other is cut', async () => {
    const socket = await relayTo((peer) => peer.once('data', () => peer.resetAndDestroy()));
    socket.write('x');
    await closed(socket);
  });

  it('cuts a connection whose target cannot be reached', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const relay = await startRelay({
      address: '127.0.0.1',
      target: { host: '127.0.0.1', port },
      delaysMs: NO_DELAY,
      maxHeldBytes: 1,
    });
    onTestFinished(() => relay.close());
    const socket = connect(relay.port, '127.0.0.1');
    await closed(socket);
  });
});
