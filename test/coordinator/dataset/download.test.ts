import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { download } from '../../../coordinator/dataset/download.ts';
import { proxyFor } from '../../../coordinator/dataset/proxy.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');
const [cert, key] = [fixture('certificate.pem'), fixture('key.pem')];
const log = () => {};

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A publisher of one file, at https. */
async function startPublisher(): Promise<number> {
  return listen(
    createTlsServer({ cert, key }, (request, response) => {
      response.writeHead(request.url === '/file' ? 200 : 404).end('the file');
    }),
  );
}

/** A proxy that tunnels: it leads every host to `port`, and notes what it was asked for and by whom. */
async function startProxy(port: number, status = 200) {
  const asked: { target: string | undefined; authorization: string | undefined }[] = [];
  const server = createHttpServer((_request, response) => response.writeHead(501).end());
  server.on('connect', (request: IncomingMessage, client: Socket) => {
    asked.push({ target: request.url, authorization: request.headers['proxy-authorization'] });
    client.write(`HTTP/1.1 ${status} Answer\r\n\r\n`);
    if (status !== 200) return void client.end();
    const upstream = connect(port, '127.0.0.1');
    onTestFinished(() => void upstream.destroy());
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => {});
  });
  return { asked, port: await listen(server) };
}

describe('a download', () => {
  test('goes through the proxy of $HTTPS_PROXY, with its user and password, and TLS from end to end', async () => {
    const publisher = await startPublisher();
    const proxy = await startProxy(publisher);
    const lines: string[] = [];
    const environment = { HTTPS_PROXY: `http://me:secret@127.0.0.1:${proxy.port}` };
    const bytes = await download(new URL('https://localhost:4443/file'), {
      environment,
      log: (line) => lines.push(line),
      ca: cert,
    });
    expect(Buffer.from(bytes).toString()).toBe('the file');
    const authorization = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    expect(proxy.asked).toEqual([{ target: 'localhost:4443', authorization }]);
    expect(lines).toEqual([`downloading https://localhost:4443/file through the proxy 127.0.0.1:${proxy.port}`]);
  });

  test('goes straight to a host that $NO_PROXY names', async () => {
    const publisher = await startPublisher();
    const proxy = await startProxy(publisher);
    const environment = { HTTPS_PROXY: `127.0.0.1:${proxy.port}`, NO_PROXY: 'localhost' };
    const bytes = await download(new URL(`https://localhost:${publisher}/file`), { environment, log, ca: cert });
    expect(Buffer.from(bytes).toString()).toBe('the file');
    expect(proxy.asked).toEqual([]);
  });

  test('that the proxy refuses names the proxy and the reason, and no password', async () => {
    const proxy = await startProxy(0, 407);
    const environment = { https_proxy: `http://me:secret@127.0.0.1:${proxy.port}` };
    const failed = download(new URL('https://localhost:4443/file'), { environment, log, ca: cert });
    const problem = `^https://localhost:4443/file through the proxy 127.0.0.1:${proxy.port}: .*407`;
    await expect(failed).rejects.toThrow(new RegExp(problem));
    await expect(failed).rejects.not.toThrow('secret');
  });

  test('without a proxy says how to name one', async () => {
    const port = await listen(createHttpServer());
    const url = new URL(`https://127.0.0.1:${port}/file`);
    await expect(download(url, { environment: {}, log })).rejects.toThrow(
      /^https:\/\/127.0.0.1:\d+\/file: fetch failed: .+; behind a proxy, name it by \$HTTPS_PROXY$/,
    );
  });

  test('of what is not there says so', async () => {
    const publisher = await startPublisher();
    const url = new URL(`https://localhost:${publisher}/other`);
    await expect(download(url, { environment: {}, log, ca: cert })).rejects.toThrow(/: the answer is 404 Not Found$/);
  });
});

describe('the proxy of an URL', () => {
  const url = new URL('https://files.example.org/a');
  const proxy = 'http://proxy:3128';

  test.each([
    [{}, undefined],
    [{ HTTPS_PROXY: '' }, undefined],
    [{ HTTPS_PROXY: proxy }, 'http://proxy:3128/'],
    [{ https_proxy: 'proxy:3128' }, 'http://proxy:3128/'],
    [{ https_proxy: 'http://first:1', HTTPS_PROXY: proxy }, 'http://first:1/'],
    [{ ALL_PROXY: 'https://proxy' }, 'https://proxy/'],
    [{ http_proxy: proxy, HTTP_PROXY: proxy }, undefined],
    [{ HTTPS_PROXY: proxy, NO_PROXY: '*' }, undefined],
    [{ HTTPS_PROXY: proxy, NO_PROXY: 'localhost, example.org' }, undefined],
    [{ HTTPS_PROXY: proxy, no_proxy: '.example.org:443' }, undefined],
    [{ HTTPS_PROXY: proxy, NO_PROXY: 'example.org:8443' }, 'http://proxy:3128/'],
    [{ HTTPS_PROXY: proxy, NO_PROXY: 'ample.org' }, 'http://proxy:3128/'],
  ])('is by %j %s', (environment, expected) => {
    expect(proxyFor(url, environment)?.href).toBe(expected);
  });

  test.each([
    ['socks5://me:secret@proxy:1080', 'got socks5'],
    ['http://', 'got something else'],
  ])('%s is refused by the name of its variable', (text, got) => {
    const expected = `$HTTPS_PROXY: expected the URL of an http or https proxy, ${got}: correct or unset it`;
    expect(() => proxyFor(url, { HTTPS_PROXY: text })).toThrow(expected);
  });
});
