/** A coordinator with several addresses: real sockets on loopback, some of which hang, refuse or are another's. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMembership } from '../../../coordinator/members/membership.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { createToken } from '../../../protocol/wire/authentication.ts';
import { findCoordinator } from '../../../worker/connection/find-coordinator.ts';
import type { Lookup } from '../../../worker/connection/host-addresses.ts';
import { greetCoordinator, joinRun } from '../../../worker/connection/join.ts';
import { NotYet } from '../../../worker/connection/waiting.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never } from '../../helpers/sockets.ts';

const TOKEN = createToken();

/** The URL of a server that accepts connections and never says a word; the connections that it has. */
async function startSilent() {
  const sockets = new Set<Socket>();
  const ended: Promise<unknown>[] = [];
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).resume());
    ended.push(once(socket, 'close'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, ended };
}

/** A URL at which nothing listens. */
async function closedUrl(): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `ws://127.0.0.1:${port}`;
}

async function startRun(token: string | undefined, host = '127.0.0.1') {
  const logged: string[] = [];
  const membership = createMembership({
    welcome: SAMPLE_MESSAGES.welcome,
    token,
    log: (_, line) => logged.push(line),
  });
  const server = await startServer(
    { host, port: 0 },
    () => ({}),
    (transport) => membership.admit(transport),
  );
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await server.close();
  });
  return { url: server.joinUrl, port: server.port, logged };
}

const find = (urls: readonly string[], token: string | undefined = TOKEN, lookup?: Lookup) =>
  findCoordinator(urls, {
    signal: never(),
    tlsOf: () => undefined,
    greet: (transport) => greetCoordinator(transport, 'tested', token, undefined),
    ...(lookup && { lookup }),
  });

const failureOf = (urls: readonly string[]) => find(urls).catch((error: unknown) => error as NotYet);

describe('a coordinator with several URLs', () => {
  test('is found behind one that hangs and one that refuses, and joined on that connection', async () => {
    const [silent, run] = [await startSilent(), await startRun(TOKEN)];
    const { transport, greeted } = await find([silent.url, await closedUrl(), run.url]);
    expect(transport.peer).toBe(`coordinator ${new URL(run.url).host}`);
    expect(await joinRun(transport, 'tested', TOKEN, undefined, greeted)).toMatchObject({ workerId: 'w1' });
    await Promise.all(silent.ended);
    transport.close();
  });

  test('is told apart from the coordinator of another run, which is shown no proof', async () => {
    const [other, run] = [await startRun(createToken()), await startRun(TOKEN)];
    const { transport } = await find([other.url, run.url]);
    expect(transport.peer).toBe(`coordinator ${new URL(run.url).host}`);
    expect(other.logged.join()).toContain('does not know the token that this worker has');
    transport.close();
  });

  test('takes part once where both URLs are its own', async () => {
    const run = await startRun(TOKEN);
    const { transport, greeted } = await find([run.url, `${run.url}/`]);
    expect(await joinRun(transport, 'tested', TOKEN, undefined, greeted)).toMatchObject({ workerId: 'w1' });
    transport.close();
  });

  test('is waited for while one of its URLs does not answer yet, with the reason of each', async () => {
    const [other, closed] = [await startRun(createToken()), await closedUrl()];
    const error = await failureOf([other.url, closed]);
    expect(error).toBeInstanceOf(NotYet);
    expect((error as NotYet).awaited).toBe(`a coordinator at ${other.url} or ${closed}`);
    expect((error as NotYet).message).toMatch(/does not know the token.*; connect ECONNREFUSED 127\.0\.0\.1/);
  });

  test('is not waited for where all of them are of another run', async () => {
    const [one, two] = [await startRun(createToken()), await startRun(createToken())];
    expect(await failureOf([one.url, two.url])).toMatchObject({ code: 'ERR_UNAUTHENTICATED' });
  });
});

test('a name leads to a coordinator by whichever of its addresses has it', async ({ skip }) => {
  const six = await startRun(TOKEN, '::1').catch(() => undefined);
  if (!six) return skip('no IPv6 here');
  const four = await startRun(TOKEN);
  const lookup = () =>
    Promise.resolve([
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
  for (const { port } of [six, four]) {
    const { transport } = await find([`ws://trainer.test:${port}`], TOKEN, lookup);
    expect(transport.peer).toBe(`coordinator trainer.test:${port}`);
    transport.close();
  }
});
