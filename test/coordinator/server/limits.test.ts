import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { isLoopback, startServer } from '../../../coordinator/server/server.ts';
import type { ServerOptions } from '../../../coordinator/server/server.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { never } from '../../helpers/sockets.ts';

async function start(options: ServerOptions = {}, onConnection: () => unknown = () => new Promise(() => {})) {
  const server = await startServer({ host: '127.0.0.1', port: 0 }, () => ({}), onConnection, options);
  onTestFinished(() => server.close());
  return { server, port: Number(new URL(server.joinUrl).port) };
}

function open(port: number, localAddress = '127.0.0.1'): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** All that a connection is sent until it ends. */
async function answerTo(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString()));
  await once(socket, 'close');
  return text;
}

describe('an upgrade', () => {
  const outcome = (url: string, origin?: string) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(url, origin === undefined ? {} : { origin });
      socket.once('open', () => {
        socket.terminate();
        resolve(101);
      });
      socket.once('unexpected-response', (request, response) => {
        request.destroy();
        resolve(response.statusCode!);
      });
      socket.once('error', reject);
    });

  test('from a page of this server, or from no page, goes on', async () => {
    const { server, port } = await start();
    expect(await outcome(server.joinUrl)).toBe(101);
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      expect(await outcome(server.joinUrl, `http://${name}:${port}`)).toBe(101);
    }
  });

  test.each(['http://evil.example', 'http://127.0.0.1:1', 'https://127.0.0.1', 'null'])(
    'with the Origin %j is refused with 403',
    async (origin) => {
      const refused: string[] = [];
      const { server } = await start({ onRefused: (reason) => refused.push(reason) });
      expect(await outcome(server.joinUrl, origin)).toBe(403);
      expect(refused).toEqual(['origin']);
    },
  );

  test('whose Host header says the name of another site, as its Origin does, is refused', async () => {
    const { port } = await start();
    const socket = open(port);
    socket.write(
      `GET / HTTP/1.1\r\nHost: evil.example:${port}\r\nOrigin: http://evil.example:${port}\r\nUpgrade: websocket\r\n` +
        'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 403 /);
  });

  test('with headers beyond the limit is refused', async () => {
    const { port } = await start();
    const socket = open(port);
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(9000)}\r\n\r\n`);
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test.each(['', 'GET / HTTP/1.1\r\nHost: x\r\n'])('that never ends, %j, is cut at its deadline', async (begin) => {
    const { port } = await start({ limits: { handshakeMs: 50 } });
    const socket = open(port);
    if (begin) socket.write(begin);
    expect(await answerTo(socket)).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });
});

describe('connections that are not members', () => {
  test('are limited for each address, and another comes in when one has gone', async () => {
    const refused: string[] = [];
    const onRefused = (reason: string) => refused.push(reason);
    const { server, port } = await start({ limits: { maxPendingPerAddress: 2 }, onRefused });
    const [first] = [open(port), open(port)];
    expect(await answerTo(open(port))).toBe('');
    expect(refused).toEqual(['connection_limit']);
    first.destroy();
    const transport = await connectToCoordinator(server.joinUrl, never());
    transport.close();
  });

  // All of 127.0.0.0/8 is this machine on Linux only.
  test.skipIf(process.platform !== 'linux')('are limited in all, whatever their addresses', async () => {
    const { port } = await start({ limits: { maxPending: 3 } });
    for (const n of [1, 2, 3]) await once(open(port, `127.0.0.${n}`), 'connect');
    expect(await answerTo(open(port, '127.0.0.4'))).toBe('');
  });

  test('may be as many more as the run has workers', async () => {
    const { server } = await start({ limits: { maxPendingPerAddress: 1 }, numWorkers: 3 });
    const transports = [];
    for (let i = 0; i < 4; i++) transports.push(await connectToCoordinator(server.joinUrl, never()));
    for (const transport of transports) transport.close();
  });

  test('are not those that have become members', async () => {
    const { server } = await start({ limits: { maxPendingPerAddress: 1 } }, () => Promise.resolve());
    const transports = [];
    for (let i = 0; i < 4; i++) transports.push(await connectToCoordinator(server.joinUrl, never()));
    for (const transport of transports) transport.close();
  });
});

test.each([
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
  ['127.0.0.1.example.com', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback({ host, port: 0 })).toBe(expected);
});
