import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { peerSockets } from '../../../worker/connection/peer-server.ts';
import type { PortRange } from '../../../worker/connection/peer-server.ts';

/** Ports that nobody has, next to each other: as good as certain, for the system gives them out in no order. */
async function freePorts(numPorts: number): Promise<PortRange> {
  for (;;) {
    const servers = [createServer()];
    servers[0]!.listen(0, '127.0.0.1');
    await once(servers[0]!, 'listening');
    const first = (servers[0]!.address() as AddressInfo).port;
    const free = await Promise.all(
      Array.from({ length: numPorts - 1 }, async (_, i) => {
        const server = createServer();
        servers.push(server);
        server.listen(first + 1 + i, '127.0.0.1');
        return once(server, 'listening').then(
          () => true,
          () => false,
        );
      }),
    );
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    if (free.every(Boolean)) return { first, last: first + numPorts - 1 };
  }
}

async function listen(address: string, ports?: PortRange): Promise<URL> {
  const listener = await peerSockets(address, ports).listen(() => {});
  onTestFinished(() => listener.close());
  return new URL(listener.url);
}

describe('a worker of a ring with --peer-ports', () => {
  test('listens on the first port of the range that is free, and says so when none is', async () => {
    const ports = await freePorts(2);
    const { first, last } = ports;
    expect(Number((await listen('127.0.0.1', ports)).port)).toBe(first);
    expect(Number((await listen('127.0.0.1', ports)).port)).toBe(last);
    await expect(listen('127.0.0.1', ports)).rejects.toThrow(
      `--peer-ports ${first}-${last}: 2 ports are all taken on 127.0.0.1: give a wider range, or free one`,
    );
  });
});

test('two workers of a ring reach each other by IPv6', async ({ skip }) => {
  let accept!: () => void;
  const accepted = new Promise<void>((resolve) => (accept = resolve));
  const sockets = peerSockets('::1');
  const listener = await sockets.listen(accept).catch(() => undefined);
  if (!listener) return skip('no IPv6 here');
  onTestFinished(() => listener.close());
  expect(listener.url).toMatch(/^ws:\/\/\[::1\]:\d+$/);
  const transport = await sockets.connect(listener.url);
  await accepted;
  transport.close();
});
