import { describe, expect, test, vi } from 'vitest';
import type { PeerLimits } from '../../../../protocol/wire/peer-limits.ts';
import { allReduceContract } from '../../../contracts/all-reduce.contract.ts';
import { startAllReduce } from '../../../helpers/all-reduce-cluster.ts';
import type { Tampering } from '../../../helpers/all-reduce-cluster.ts';

// Each worker sends all chunks but one, twice.
allReduceContract('ring', { workers: [2, 3, 4, 5], payloadsPerStep: (numWorkers) => 2 * (numWorkers - 1) });

const start = (workers: number, tampering: Tampering = {}, changes = {}) =>
  startAllReduce({ workers, allReduce: 'ring', ...changes }, 64, tampering);

describe('a ring', () => {
  test('says how large it is', async () => {
    expect((await start(2)).said).toEqual(['all-reduce: ring of 2 workers']);
  });

  test('a link that breaks has the step taken again in another ring, and both workers named', async () => {
    let numLinks = 0;
    const cluster = await start(3, {
      peers: (peers, index) => ({
        ...peers,
        async connect(url) {
          const transport = await peers.connect(url);
          if (index !== 1 || ++numLinks > 1) return transport;
          // Not spread: its counters are getters.
          return Object.assign(transport, { send: breakAfterHello(transport) });
        },
      }),
    });
    await completesStep(cluster);
    expect(cluster.said).toEqual([
      'all-reduce: ring of 3 workers',
      expect.stringMatching(
        /^all-reduce: the ring is broken in step 1: worker-\d: the link to worker-\d, its \w+ in the ring, failed/,
      ),
      'all-reduce: ring of 3 workers',
    ]);
    expect(cluster.fleet.members).toHaveLength(3);
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

  test('a worker that never answers is the one that is lost, not those that wait for it', async () => {
    const cluster = await start(
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
      // Four samples a step: those that answer need a few milliseconds of this thread, which all of them share.
      { stepTimeoutSeconds: 1, globalBatch: 4 },
    );
    await completesStep(cluster);
    expect(cluster.said).toEqual([
      'all-reduce: ring of 3 workers',
      expect.stringMatching(/^lost worker worker-2 \(w3\), step 1: no ringSum or ringBroken/),
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('a worker that is lost while a ring is formed has it formed without it', async () => {
    let numListening = 0;
    const cluster = await start(4, {
      peers: (peers, index, transport) => ({
        ...peers,
        listen(onConnection) {
          numListening++;
          return peers.listen(onConnection);
        },
        connect(url) {
          if (index === 3) transport.close();
          return peers.connect(url);
        },
      }),
    });
    expect(numListening).toBe(7);
    await completesStep(cluster);
    expect(cluster.said).toEqual([
      expect.stringMatching(/^lost worker worker-3 \(w4\): /),
      'all-reduce: ring of 3 workers',
    ]);
  });
});

/** The first step is completed, and all members prove the state that it led to. */
async function completesStep({ allReduce, planOf, replica, fleet, meanOf }: Awaited<ReturnType<typeof start>>) {
  const before = replica.parameters.slice();
  allReduce.open(planOf(1));
  const { numSamples } = planOf(1);
  expect(await allReduce.collect(planOf(1))).toMatchObject({ isFinite: true, totals: { numSamples } });
  allReduce.distribute(planOf(1));
  allReduce.apply(planOf(1));
  expect(await allReduce.confirm()).toHaveLength(fleet.members.length);
  expect(replica.step).toBe(1);
  const { gradient } = meanOf(1);
  const error = gradient.reduce(
    (most, mean, i) => Math.max(most, Math.abs(before[i]! - mean - replica.parameters[i]!)),
    0,
  );
  expect(error).toBeLessThan(2e-6);
}

describe('where no ring can be, the star is taken, and the reason told:', () => {
  test('one worker', async () => {
    const cluster = await start(1);
    expect(cluster.said).toEqual(['all-reduce: star, because a ring needs two workers or more']);
    await completesStep(cluster);
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
    await completesStep(cluster);
    expect(listening).toEqual([]);
  });

  test('a worker without sockets', async () => {
    const cluster = await start(2, { peers: (peers, index) => (index === 0 ? undefined : peers) });
    expect(cluster.said).toEqual([
      'all-reduce: star, because worker-0 cannot listen for other workers: it lives in a process without sockets',
    ]);
    await completesStep(cluster);
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
    await completesStep(cluster);
  });

  test('a worker that shows another token', async () => {
    const cluster = await passTime(() =>
      start(2, {
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
      }),
    );
    expect(cluster.said).toEqual([
      expect.stringMatching(
        /^all-reduce: star, because worker-0 cannot reach worker-1: .*refused: its token is not the one of this ring/,
      ),
    ]);
    await completesStep(cluster);
  });
});

/** Has timers pass at once until `act` is done: a worker that is refused tries again for as long as it may. */
async function passTime<T>(act: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    let isDone = false;
    const acting = act().finally(() => (isDone = true));
    acting.catch(() => {});
    while (!isDone) {
      await vi.advanceTimersByTimeAsync(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return await acting;
  } finally {
    vi.useRealTimers();
  }
}

/** A `send` that lets the hello pass and then ends the connection. */
function breakAfterHello(transport: { send: (message: never) => void; close: () => void }) {
  const { send } = transport;
  return (message: never) => {
    if ((message as { kind: string }).kind === 'peerHello') send(message);
    else transport.close();
  };
}
