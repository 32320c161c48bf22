import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { parseListenAddress, startServer } from '../../../coordinator/server/server.ts';
import { createAssembler } from '../../../protocol/wire/assembler.ts';
import { encodeFrame, MAX_MESSAGE_BYTES } from '../../../protocol/wire/frame.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { transportContract } from '../../contracts/transport.contract.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { connectedPair, startTestServer } from '../../helpers/sockets.ts';

transportContract('WebSocket', connectedPair);

/** A server, and a raw WebSocket connected to it. */
async function rawClient() {
  let accept!: (transport: Transport) => void;
  const accepted = new Promise<Transport>((resolve) => (accept = resolve));
  const server = await startTestServer(accept);
  const socket = new WebSocket(server.joinUrl);
  onTestFinished(async () => {
    socket.terminate();
    await server.close();
  });
  await new Promise((resolve) => socket.once('open', resolve));
  return { socket, transport: await accepted };
}

const nextMessage = (socket: WebSocket) =>
  new Promise<Buffer<ArrayBuffer>>((resolve) => socket.once('message', (data) => resolve(data as Buffer<ArrayBuffer>)));

// All of 127.0.0.0/8 is this machine on Linux; only there can a client choose an address that is not the server's.
test.skipIf(process.platform !== 'linux').each([
  ['127.0.0.1', true],
  ['127.0.0.2', false],
])('a connection from %s is from the same address: %s', async (localAddress, expected) => {
  let accept!: (isSameMachine: boolean) => void;
  const accepted = new Promise<boolean>((resolve) => (accept = resolve));
  const address = { host: '127.0.0.1', port: 0 };
  const server = await startServer(
    address,
    () => ({}),
    (_, isSameMachine) => accept(isSameMachine),
  );
  const socket = new WebSocket(server.joinUrl, { localAddress });
  onTestFinished(async () => {
    socket.terminate();
    await server.close();
  });
  await new Promise((resolve) => socket.once('open', resolve));
  expect(await accepted).toBe(expected);
});

describe('a WebSocket that sends', () => {
  test.each<[string, Buffer | string, string]>([
    ['text', 'hello', 'ERR_MALFORMED_FRAME'],
    ['bytes that are no frame', Buffer.alloc(64, 7), 'ERR_BAD_MAGIC'],
    ['a frame cut short', Buffer.from(encodeFrame(SAMPLE_MESSAGES.hello).head).subarray(0, -8), 'ERR_MALFORMED_FRAME'],
  ])('%s gets a coded error back and is closed', async (_what, data, code) => {
    const { socket, transport } = await rawClient();
    const reply = nextMessage(socket);
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.send(data);
    expect(createAssembler().accept(await reply)).toMatchObject({ kind: 'error', code });
    expect(await closed).toBe(1002);
    await expect(transport.receive(1000, 'anything')).rejects.toMatchObject({ code });
  });

  test('more than a message may hold is closed before that was read', async () => {
    const { socket, transport } = await rawClient();
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1));
    expect((await transport.closed).code).toBe('ERR_FRAME_TOO_LARGE');
    expect(await closed).toBe(1009);
  });

  test('nothing and vanishes ends its transport at once', async () => {
    const { socket, transport } = await rawClient();
    socket.terminate();
    expect((await transport.closed).code).toBe('ERR_CLOSED');
  });

  test('a WebSocket frame that breaks RFC 6455 is closed with a code, and the server lives', async () => {
    let accept!: (transport: Transport) => void;
    const accepted = new Promise<Transport>((resolve) => (accept = resolve));
    const server = await startTestServer(accept);
    onTestFinished(() => server.close());
    const { port } = new URL(server.joinUrl);
    const raw = connect(Number(port), '127.0.0.1');
    raw.write(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const transport = await accepted;
    raw.write(Buffer.from('f2', 'hex')); // reserved bits set
    raw.write(Buffer.from('80', 'hex'));
    expect((await transport.closed).code).toBe('ERR_MALFORMED_FRAME');
    raw.destroy();
    expect((await fetch(server.joinUrl.replace('ws:', 'http:') + '/healthz')).status).toBe(200);
  });
});

describe('the server', () => {
  test('answers GET /healthz, and 404 elsewhere', async () => {
    const server = await startServer(
      { host: '127.0.0.1', port: 0 },
      () => ({ status: 'running' }),
      () => {},
    );
    onTestFinished(() => server.close());
    const url = server.joinUrl.replace('ws:', 'http:');
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'running' });
    expect((await fetch(`${url}/secret`)).status).toBe(404);
  });

  test('names the flag when its port is taken', async () => {
    const server = await startTestServer(() => {});
    onTestFinished(() => server.close());
    const port = Number(new URL(server.joinUrl).port);
    await expect(
      startServer(
        { host: '127.0.0.1', port },
        () => ({}),
        () => {},
      ),
    ).rejects.toThrow(`--listen 127.0.0.1:${port}: another program listens there`);
  });

  test.each(['7878', 'host', 'host:70000', ':80', 'a:b:c'])('refuses --listen %s', (text) => {
    expect(() => parseListenAddress(text)).toThrow(`--listen ${text}: expected HOST:PORT`);
  });

  test('understands IPv6 addresses in brackets', () => {
    expect(parseListenAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
  });
});
