import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { allReduceContract } from '../contracts/all-reduce.contract.ts';
import { startAllReduce } from '../helpers/all-reduce-cluster.ts';
import type { Tampering } from '../helpers/all-reduce-cluster.ts';

// Each worker sends all chunks but one, twice.
allReduceContract('ring', { workers: [2, 3, 4, 5], payloadsPerStep: (numWorkers) => 2 * (numWorkers - 1) });

const start = (workers: number, tampering: Tampering = {}, changes = {}) =>
  startAllReduce({ workers, allReduce: 'ring', ...changes }, 64, tampering);

describe('a ring', () => {
  test('says how large it is', async () => {
    expect((await start(2)).said).toEqual(['all-reduce: ring of 2 workers']);
  });

  test('a link that breaks ends the step with a code, and names both workers', async () => {
    const { allReduce, planOf } = await start(3, {
      peers: (peers, index) => ({
        ...peers,
        async connect(url) {
          const transport = await peers.connect(url);
          if (index !== 1) return transport;
          // Not spread: its counters are getters.
          return Object.assign(transport, { send: breakAfterHello(transport) });
        },
      }),
    });
    allReduce.open(planOf(1));
    await expect(allReduce.collect(planOf(1))).rejects.toMatchObject({
      code: 'ERR_PEER_LOST',
      step: 1,
      message: expect.stringMatching(
        /^worker worker-\d \(w\d\), step 1: .* the link to worker-\d, its \w+ in the ring, failed/,
      ),
    });
  });

  test('no more of a neighbour waits unread than a step brings', async () => {
    const limits: PeerLimits[] = [];
    await start(3, {
      peers: (peers) => ({
        ...peers,
        async connect(url) {
          const transport = await peers.connect(url);
          const limit = transport.limit.bind(transport);
          return Object.assign(transport, {
            limit(given: PeerLimits) {
              limits.push(given);
              limit(given);
            },
          });
        },
      }),
    });
    // Some 160,000 values: a piece for each of three chunks, and one for the statistics and the loss.
    expect(limits.map(({ maxUnreadMessages }) => maxUnreadMessages)).toEqual([68, 68, 68]);
    for (const { maxUnreadBytes } of limits) expect(maxUnreadBytes).toBeLessThan(2 ** 21);
  });

  test('a worker that never answers is the one that is named, not those that wait for it', async () => {
    const { allReduce, planOf } = await start(
      3,
      {
        engine: (engine, index, transport) => ({
          ...engine,
          async computeGradient(batch, into) {
            if (index === 2) await transport.closed;
            return engine.computeGradient(batch, into);
          },
        }),
      },
      { stepTimeoutSeconds: 1 },
    );
    allReduce.open(planOf(1));
    await expect(allReduce.collect(planOf(1))).rejects.toMatchObject({ code: 'ERR_TIMEOUT', worker: 'worker-2' });
  });
});

describe('where no ring can be, the star is taken, and the reason told:', () => {
  const trainsOn = async ({ allReduce, planOf, replica }: Awaited<ReturnType<typeof start>>) => {
    allReduce.open(planOf(1));
    expect(await allReduce.collect(planOf(1))).toMatchObject({ isFinite: true });
    allReduce.distribute(planOf(1));
    allReduce.apply(planOf(1));
    await allReduce.confirm();
    expect(replica.step).toBe(1);
  };

  test('one worker', async () => {
    const cluster = await start(1);
    expect(cluster.said).toEqual(['all-reduce: star, because a ring needs two workers or more']);
    await trainsOn(cluster);
  });

  test('a run that must not have one', async () => {
    const listening: number[] = [];
    const cluster = await start(2, {
      ringObstacle: 'this run is encrypted',
      peers: (peers, index) => ({
        ...peers,
        listen(onConnection) {
          listening.push(index);
          return peers.listen(onConnection);
        },
      }),
    });
    expect(cluster.said).toEqual(['all-reduce: star, because this run is encrypted']);
    await trainsOn(cluster);
    expect(listening).toEqual([]);
  });

  test('a worker without sockets', async () => {
    const cluster = await start(2, { peers: (peers, index) => (index === 0 ? undefined : peers) });
    expect(cluster.said).toEqual([
      'all-reduce: star, because worker-0 cannot listen for other workers: it lives in a process without sockets',
    ]);
    await trainsOn(cluster);
  });

  test('a worker that another cannot reach', async () => {
    const cluster = await start(3, {
      peers: (peers, index) => ({
        ...peers,
        async listen(onConnection) {
          const listener = await peers.listen(onConnection);
          if (index === 1) listener.close();
          return listener;
        },
      }),
    });
    expect(cluster.said).toEqual([
      expect.stringMatching(/^all-reduce: star, because worker-[02] cannot reach worker-1: ws:.*ECONNREFUSED/),
    ]);
    await trainsOn(cluster);
  });

  test(
    'a worker that shows another token',
    async () => {
      const cluster = await start(2, {
        peers: (peers, index) => ({
          ...peers,
          async connect(url) {
            const transport = await peers.connect(url);
            const send = transport.send.bind(transport);
            if (index === 0) {
              transport.send = (message) =>
                send(message.kind === 'peerHello' ? { ...message, token: '0'.repeat(64) } : message);
            }
            return transport;
          },
        }),
      });
      expect(cluster.said).toEqual([
        expect.stringMatching(
          /^all-reduce: star, because worker-0 cannot reach worker-1: .*refused: its token is not the one of this ring/,
        ),
      ]);
      await trainsOn(cluster);
    },
    LIMITS.peerConnectMs + 60_000,
  );
});

/** A `send` that lets the hello pass and then ends the connection. */
function breakAfterHello(transport: { send: (message: never) => void; close: () => void }) {
  const { send } = transport;
  return (message: never) => {
    if ((message as { kind: string }).kind === 'peerHello') send(message);
    else transport.close();
  };
}
