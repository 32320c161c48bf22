import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { runWorker } from '../../worker/main.ts';
import type { TargetSource } from '../../worker/connection/join-target.ts';
import { NotYet } from '../../worker/connection/waiting.ts';
import { startTestServer } from '../helpers/sockets.ts';

/** What a worker says from its start to its end at a target that is read anew. */
async function work(target: TargetSource, waitSeconds: number): Promise<{ said: string[]; end: string | undefined }> {
  const said: string[] = [];
  const log = (line: string) => said.push(line);
  const end = await runWorker({
    target,
    tlsOf: () => undefined,
    name: 'tested',
    engine: 'reference',
    threads: 1,
    waitSeconds,
    reconnectSeconds: 0,
    signal: new AbortController().signal,
    log,
    warn: log,
  });
  return { said, end };
}

test('a worker waits for a join file, passes over one that leads elsewhere, and joins by the next', async () => {
  const elsewhere = createServer((_, response) => response.writeHead(301, { location: '/login/' }).end());
  elsewhere.listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const server = await startTestServer(async (transport) => {
    await transport.receive(20_000, 'hello');
    transport.send({ kind: 'shutdown', reason: 'the run is completed' });
  });
  onTestFinished(async () => {
    elsewhere.close();
    await server.close();
  });
  const urls = [undefined, `ws://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`, server.joinUrl];
  let numRead = 0;
  const read = () => {
    const url = urls[Math.min(numRead++, urls.length - 1)];
    if (url === undefined) throw new NotYet('the join file x', 'it is not there', 'start the coordinator');
    return { url, token: undefined };
  };
  const { said, end } = await work({ what: 'the join file x', canChange: true, read }, 60);
  expect(end).toBe('the run is completed');
  expect(said).toEqual(['waiting for the join file x, 60 s left (it is not there)']);
  expect(numRead).toBe(3);
});

test('a worker whose target cannot change ends at once where it leads elsewhere', async () => {
  const elsewhere = createServer((_, response) => response.writeHead(301, { location: '/login/' }).end());
  elsewhere.listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  onTestFinished(() => void elsewhere.close());
  const target = { url: `ws://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`, token: undefined };
  const source = { what: target.url, canChange: false, read: () => target };
  await expect(work(source, 60)).rejects.toThrow('the server redirects to');
});
