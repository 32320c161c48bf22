import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createEntrance } from '../../../coordinator/server/entrance.ts';
import type { Admit } from '../../../coordinator/server/entrance.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import type { ListenAddress } from '../../../coordinator/server/server.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';

const entranceAt = (address: ListenAddress) => createEntrance((admit) => startServer(address, () => ({}), admit));

/** An `admit` that tells of each connection that it is given, and ends it. */
function receiver(): { admit: Admit; received: Promise<Transport> } {
  let receive!: (transport: Transport) => void;
  const received = new Promise<Transport>((resolve) => (receive = resolve));
  return {
    received,
    admit(transport) {
      transport.close();
      receive(transport);
      return Promise.resolve();
    },
  };
}

test('connections that come before the run can receive them wait, and go to whom it is opened for last', async () => {
  const entrance = entranceAt({ host: '127.0.0.1', port: 0 });
  await entrance.take();
  onTestFinished(() => entrance.close());
  const early = new WebSocket(entrance.joinUrl);
  onTestFinished(() => early.terminate());
  await once(early, 'open');
  const [first, second] = [receiver(), receiver()];
  entrance.open(first.admit);
  await first.received;
  entrance.open(second.admit);
  const late = new WebSocket(entrance.joinUrl);
  onTestFinished(() => late.terminate());
  await once(late, 'open');
  await second.received;
});

test('a port that another program has is refused, and can be taken when it is free again', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const entrance = entranceAt({ host: '127.0.0.1', port });
  await expect(entrance.take()).rejects.toThrow(`--listen 127.0.0.1:${port}: another program listens there`);
  await entrance.close();
  other.close();
  await once(other, 'close');
  await entrance.take();
  for (let i = 0; i < 2; i++) await entrance.close();
});
