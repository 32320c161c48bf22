/** A worker whose connection is cut by the network between it and the coordinator: real processes. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { readEpochs, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

/** Passes bytes on to a port, until it is told to cut what is connected. */
async function startRelay(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cut };
}

test('comes back as the worker that it was, and its part of the epoch is one', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const long = ['--model', 'dense', '--microbatches', '2', '--epochs', '10000', ...SMALL];
  const { coordinator, url } = await startCoordinator(['--workers', '2', '--run-dir', runDir, ...long]);
  const { url: bare, token } = splitJoinUrl(url);
  const relay = await startRelay(Number(new URL(bare).port));
  const near = startCli(['worker', url, '--name', 'near']);
  await coordinator.line(/near is ready/);
  const far = startCli(['worker', `ws://127.0.0.1:${relay.port}/#${token}`, '--name', 'far']);
  await coordinator.line(/^epoch 1,/);

  relay.cut();
  await far.line(/was lost.*: trying again for up to 60 s$/);
  await coordinator.line(/far \(w2\) takes part from step \d+ on/);
  const numEpochs = readEpochs(runDir).length;
  await coordinator.line(new RegExp(`^epoch ${numEpochs + 2},`));
  coordinator.kill('SIGINT');
  expect(await coordinator.exit).toBe(130);
  for (const worker of [near, far]) expect(await worker.exit, worker.output()).toBe(0);

  expect(coordinator.output()).toMatch(/lost worker far \(w2\)/);
  for (const { workers, bytesSentPerStep, bytesSent, steps } of readEpochs(runDir)) {
    expect(bytesSentPerStep).toBeCloseTo(bytesSent / steps / workers.length, 6);
    const names = workers.map(({ id, name }) => `${id} ${name}`);
    expect(new Set(names).size).toBe(names.length);
    expect(['w1 near', 'w2 far']).toEqual(expect.arrayContaining(names));
  }
  expect(readEpochs(runDir)[numEpochs + 1]!.workers.length).toBe(2);
});
