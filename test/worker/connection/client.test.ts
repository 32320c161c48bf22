import { getEventListeners, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startServer } from '../../../coordinator/server/server.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { connectToCoordinator, openCoordinator } from '../../../worker/connection/client.ts';
import { NotYet } from '../../../worker/connection/waiting.ts';
import { never } from '../../helpers/sockets.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');
const TLS = { cert: fixture('certificate.pem'), key: fixture('key.pem') };

interface Listening {
  listen(port: number, host: string): unknown;
  address(): string | AddressInfo | null;
  close(): unknown;
  once(event: 'listening', listener: () => void): unknown;
}

/** Listens on a free port until the test is over. */
async function portOf(server: Listening & NodeJS.EventEmitter): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function startHttp(answer: RequestListener): Promise<string> {
  return `ws://127.0.0.1:${await portOf(createServer(answer))}`;
}

const errorOf = (url: string) => openCoordinator(url, never()).catch((error: unknown) => error as Error);

describe('a connection to a coordinator', () => {
  test('that fails leaves no listener on the signal', async () => {
    const closed = createTcpServer();
    const port = await portOf(closed);
    closed.close();
    const { signal } = new AbortController();
    for (let i = 0; i < 12; i++) {
      await expect(openCoordinator(`ws://127.0.0.1:${port}`, signal)).rejects.toThrow('ECONNREFUSED');
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    }
  });

  test('that opens leaves none either', async () => {
    const server = await startServer(
      { host: '127.0.0.1', port: 0 },
      () => ({}),
      () => {},
    );
    onTestFinished(() => server.close());
    const { signal } = new AbortController();
    const transport = await connectToCoordinator(server.joinUrl, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    transport.close();
  });

  test('says for every address of a name why it failed', async () => {
    const closed = createTcpServer();
    const port = await portOf(closed);
    closed.close();
    expect(((await errorOf(`ws://localhost:${port}`)) as NotYet).message).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
  });

  test('reaches an IPv6 address in brackets', async ({ skip }) => {
    const server = await startServer(
      { host: '::1', port: 0 },
      () => ({}),
      () => {},
    ).catch(() => undefined);
    if (!server) return skip('no IPv6 here');
    onTestFinished(() => server.close());
    expect(server.joinUrl).toMatch(/^ws:\/\/\[::1\]:\d+$/);
    const transport = await connectToCoordinator(server.joinUrl, never());
    expect(transport.localAddress).toBe('::1');
    transport.close();
  });
});

describe('ws:// where TLS is spoken is told apart at once', () => {
  test('by a coordinator', async () => {
    const server = await startServer(
      { host: '127.0.0.1', port: 0 },
      () => ({}),
      () => {},
      { tls: TLS },
    );
    onTestFinished(() => server.close());
    const error = await errorOf(server.joinUrl.replace('wss:', 'ws:'));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toContain(`speaks TLS, which ws:// does not: join with ${server.joinUrl}, and`);
  });

  test('by a proxy that says so in HTTP', async () => {
    const https = createHttpsServer(TLS);
    https.on('tlsClientError', (_error, socket) => socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'));
    const error = await errorOf(`ws://127.0.0.1:${await portOf(https)}`);
    expect(error).toBeInstanceOf(ConfigError);
  });
});

test('a server that ends connections, and speaks no TLS either, may be the coordinator later', async () => {
  const server = createTcpServer((socket) => socket.destroy());
  expect(await errorOf(`ws://127.0.0.1:${await portOf(server)}`)).toBeInstanceOf(NotYet);
});

describe('an answer that is no WebSocket', () => {
  test.each([
    ['/prefix', '/prefix/'],
    ['/prefix', 'http://127.0.0.1:PORT/prefix/'],
  ])('a redirect from %s to %s is named at once, and not followed', async (from, to) => {
    const asked: string[] = [];
    const url = await startHttp((request, response) => {
      asked.push(request.url!);
      const location = to.replace('PORT', new URL(`http://${request.headers.host!}`).port);
      response.writeHead(301, { location }).end();
    });
    const error = await errorOf(`${url}${from}`);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toBe(
      `${url}/prefix: the server redirects to ${url}/prefix/: if that is the coordinator, join with ${url}/prefix/`,
    );
    expect(asked).toEqual(['/prefix']);
  });

  test('a redirect to https names wss://, without what the server put into a query', async () => {
    const url = await startHttp((_, response) => {
      response.writeHead(302, { location: 'https://login.example/?back=secret' }).end();
    });
    expect(((await errorOf(url)) as Error).message).toMatch(/join with wss:\/\/login\.example$/);
  });

  test.each([404, 502])('status %d may be a proxy whose coordinator is not there yet', async (status) => {
    const url = await startHttp((_, response) => response.writeHead(status).end());
    const error = await errorOf(url);
    expect(error).toBeInstanceOf(NotYet);
    expect((error as Error).message).toBe(`it answered with HTTP status ${status} in place of a WebSocket`);
  });
});
