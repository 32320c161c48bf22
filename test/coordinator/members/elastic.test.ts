/** Workers that are lost, hang, join and repeat themselves while a run goes on: it ends with the bits of a quiet run. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ModelSpec } from '../../../protocol/state/model-spec.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import type { Engine, EngineOptions } from '../../../worker/engines/engine.ts';
import { madeUpDataset, runCluster, runConfig, TINY_MODEL, WIDE_MODEL } from '../../helpers/cluster.ts';
import type { ClusterOptions } from '../../helpers/cluster.ts';
import { countOfCases, freshSeed } from '../../helpers/tier.ts';

const closing = () => new ProtocolError('ERR_CLOSED', 'the cable was cut');

/** The worker's end of a connection that breaks when `isCut` says so of a message: before that one is sent. */
const cutBefore = (transport: Transport, isCut: (message: Message) => boolean): Transport => ({
  ...transport,
  send(message) {
    if (isCut(message)) {
      transport.close();
      throw closing();
    }
    transport.send(message);
  },
});

/** Whether it is the n-th time that a message of this kind comes by. */
const nth = (kind: Message['kind'], n: number) => {
  let count = 0;
  return (message: Message) => message.kind === kind && ++count === n;
};

const hashOf = async (options: ClusterOptions) => (await runCluster(options)).replica.parametersSha256();

describe('a worker that is lost', () => {
  const config = runConfig({ workers: 3, microbatches: 8 });

  test.each<[string, (message: Message) => boolean, reissued: number]>([
    ['in the first step', nth('gradient', 1), 3],
    ['between two sums of a step', nth('gradient', 4), 1],
    ['before it proves the end of an epoch', nth('applied', 2), 0],
    ['while it evaluates', nth('evaluation', 1), 0],
    ['before it has proved the first state', nth('applied', 1), 0],
  ])('%s costs the run nothing but time', async (_when, isCut, expectedReissued) => {
    const said: string[] = [];
    const reissued = { lost: 0, late: 0, not_finite: 0, ring_broken: 0 };
    const outcome = await runCluster({
      config,
      say: (line) => said.push(line),
      onReissue: (reason, numMicrobatches) => (reissued[reason] += numMicrobatches),
      tamper: (transport, index) => (index === 1 ? cutBefore(transport, isCut) : transport),
    });
    expect(said).toEqual([expect.stringMatching(/^lost worker worker-1 \(w2\)/)]);
    expect(reissued).toEqual({ lost: expectedReissued, late: 0, not_finite: 0, ring_broken: 0 });
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
    for (const { samples, workers } of outcome.epochs) {
      expect(samples).toBe(150);
      expect(workers.reduce((sum, worker) => sum + worker.workerSamples, 0)).toBe(150);
    }
  });

  test.each([1, 2, 3, 5, 6, 8, 11])('after %i parts of its vectors, in buckets', async (numParts) => {
    let count = 0;
    const isCut = ({ kind }: Message) => (kind === 'gradientBucket' || kind === 'gradient') && ++count > numParts;
    const wide = runConfig({ workers: 3, microbatches: 8, model: WIDE_MODEL, epochs: 1 });
    const outcome = await runCluster({
      config: wide,
      numBuckets: 6,
      tamper: (transport, index) => (index === 2 ? cutBefore(transport, isCut) : transport),
    });
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config: wide }));
  });

  test('after a part of a sum: the sum stays one, also where others have not sent theirs yet', async () => {
    const wide = runConfig({ workers: 3, microbatches: 8, model: WIDE_MODEL, epochs: 1 });
    // All six parts of microbatch 5, and one of the sum of 6 and 7.
    let count = 0;
    const isCut = ({ kind }: Message) => (kind === 'gradientBucket' || kind === 'gradient') && ++count > 7;
    let isTakenOver = false;
    const held: (() => void)[] = [];
    const outcome = await runCluster({
      config: wide,
      numBuckets: 6,
      tamper(transport, index) {
        if (index === 2) return cutBefore(transport, isCut);
        const send = (message: Message) => {
          if (index === 0 && !isTakenOver && message.kind.startsWith('gradient')) {
            held.push(() => transport.send(message));
            return;
          }
          transport.send(message);
          if (index !== 1 || message.kind !== 'gradient' || message.firstMicrobatch < 6) return;
          isTakenOver = true;
          // When the coordinator has read what was sent before.
          setImmediate(() => {
            for (const sendHeld of held.splice(0)) sendHeld();
          });
        };
        return { ...transport, send };
      },
    });
    expect(isTakenOver).toBe(true);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config: wide }));
  });

  test('by hanging is found by a deadline, and the step goes on', async () => {
    const said: string[] = [];
    let numGradients = 0;
    const outcome = await runCluster({
      config: { ...config, stepTimeoutSeconds: 1 },
      say: (line) => said.push(line),
      tamper: (transport, index) => ({
        ...transport,
        send(message) {
          if (index !== 0 || message.kind !== 'gradient' || ++numGradients < 3) transport.send(message);
        },
      }),
    });
    expect(said).toEqual([
      expect.stringMatching(/^lost worker worker-0 \(w1\), step \d+: no gradientBucket or gradient/),
    ]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });

  test('as the last one pauses the run until another joins', async () => {
    const said: string[] = [];
    let join!: () => Promise<string>;
    const outcome = await runCluster({
      config: { ...config, workers: 1 },
      waitMs: 20_000,
      onStart: (given) => (join = given),
      say(line) {
        said.push(line);
        if (line.startsWith('no worker is left')) void join();
      },
      tamper: (transport, index) => (index === 0 ? cutBefore(transport, nth('gradient', 5)) : transport),
    });
    expect(said).toEqual([
      expect.stringMatching(/^lost worker worker-0/),
      expect.stringMatching(/^no worker is left at step \d: waiting 20 s for one to join/),
      expect.stringMatching(/^worker-1 \(w2\) takes part/),
    ]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });

  test('with nobody to take its place ends the run with its name', async () => {
    const run = runCluster({
      config: { ...config, workers: 1 },
      tamper: (transport) => cutBefore(transport, nth('gradient', 5)),
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_CLOSED', worker: 'worker-0' });
  });
});

describe('a worker that joins', () => {
  test.each([1, 6])('gets the state and a share of the work, with averages in %i buckets', async (numBuckets) => {
    const config = runConfig({ workers: 1, microbatches: 4, model: WIDE_MODEL, epochs: 4 });
    const said: string[] = [];
    let joining: Promise<string> | undefined;
    let join!: () => Promise<string>;
    const outcome = await runCluster({
      config,
      numBuckets,
      say: (line) => said.push(line),
      onStart: (given) => (join = given),
      onProgress: () => void (joining ??= join()),
    });
    expect(said).toEqual([expect.stringMatching(/^worker-1 \(w2\) takes part from step \d+ on$/)]);
    expect(await joining).toBe('done');
    expect(outcome.epochs.at(-1)!.workers.map(({ workerSamples }) => workerSamples > 0)).toEqual([true, true]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });

  test('stands by where there is no work for one more, and takes the place of one that is lost', async () => {
    const config = runConfig({ workers: 2, microbatches: 2, epochs: 4 });
    const said: string[] = [];
    let join!: () => Promise<string>;
    let isJoining = false;
    const outcome = await runCluster({
      config,
      say: (line) => said.push(line),
      onStart: (given) => (join = given),
      onProgress() {
        if (!isJoining) void join();
        isJoining = true;
      },
      tamper: (transport, index) => (index === 0 ? cutBefore(transport, nth('gradient', 12)) : transport),
    });
    expect(said).toEqual([
      'worker-2 (w3) stands by: each of the 2 microbatches of a step has a worker; it takes the place of one that is lost',
      expect.stringMatching(/^lost worker worker-0/),
      expect.stringMatching(/^worker-2 \(w3\) takes part/),
    ]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });

  test('and stands by goes on alone when the last one is lost in mid-step', async () => {
    const config = runConfig({ workers: 1, microbatches: 1, epochs: 6 });
    let join!: () => Promise<string>;
    let numSteps = 0;
    const outcome = await runCluster({
      config,
      waitMs: 5000,
      onStart: (given) => (join = given),
      onProgress() {
        if (numSteps++ === 0) void join();
      },
      tamper: (transport, index) => (index === 0 ? cutBefore(transport, nth('gradient', 25)) : transport),
    });
    expect(outcome.status).toBe('completed');
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });

  test('slowly is not sent every average, and the state again when it has caught up', async () => {
    const config = runConfig({ workers: 1, microbatches: 4, epochs: 12 });
    const said: string[] = [];
    const received: string[] = [];
    const held: (() => void)[] = [];
    let isHeld = true;
    let join!: () => Promise<string>;
    let numSteps = 0;
    const outcome = await runCluster({
      config,
      say: (line) => said.push(line),
      onStart: (given) => (join = given),
      onProgress() {
        if (numSteps++ === 0) void join();
        if (numSteps !== 40) return;
        isHeld = false;
        for (const send of held.splice(0)) send();
      },
      tamper(transport, index) {
        if (index === 0) return transport;
        return {
          ...transport,
          send(message) {
            if (isHeld && message.kind === 'applied') held.push(() => transport.send(message));
            else transport.send(message);
          },
          async receive(timeoutMs, awaited) {
            const message = await transport.receive(timeoutMs, awaited);
            received.push(isHeld ? `held ${message.kind}` : message.kind);
            return message;
          },
        };
      },
    });
    expect(received.filter((kind) => kind === 'held update').length).toBeLessThan(17);
    expect(received.filter((kind) => kind === 'snapshot').length).toBeGreaterThan(0);
    expect(said).toEqual([expect.stringMatching(/^worker-1 \(w2\) takes part from step \d+ on$/)]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });
});

describe('any schedule of deaths, delays, joins and repeated results', () => {
  /** Two microseconds a gradient, and different for every sample. */
  const createQuickEngine = ({ plan }: EngineOptions): Promise<Engine> => {
    const count = { lossSum: 1, numCorrect: 0 };
    return Promise.resolve({
      name: 'quick',
      device: 'cpu',
      threads: 1,
      computeGradient({ images, numSamples }, { gradient, statistics }) {
        for (let i = 0; i < plan.numParameters; i++) gradient[i] = 0;
        for (let n = 0; n < numSamples; n++) {
          for (let i = 0; i < plan.numParameters; i++) gradient[i]! += Math.fround(images[n * 784 + i * 7]! / 97);
        }
        statistics.fill(0.5);
        return Promise.resolve({ ...count, numSamples });
      },
      evaluate: ({ numSamples }) => Promise.resolve({ ...count, numSamples }),
      dispose: () => Promise.resolve(),
    });
  };
  const model: ModelSpec = {
    ...TINY_MODEL,
    layers: [{ kind: 'maxPool', size: 14 }, { kind: 'flatten' }, { kind: 'dense', units: 10, activation: 'none' }],
  };
  const dataset = madeUpDataset(37, 10);

  /** What one worker does before each message that it sends: mostly nothing. */
  const deed = fc.oneof(
    { weight: 12, arbitrary: fc.constant('send' as const) },
    { weight: 2, arbitrary: fc.constant('delay' as const) },
    { weight: 1, arbitrary: fc.constant('die' as const) },
    { weight: 1, arbitrary: fc.constant('repeat' as const) },
  );
  const schedule = fc.record({
    workers: fc.integer({ min: 1, max: 4 }),
    microbatches: fc.integer({ min: 4, max: 7 }),
    deeds: fc.array(fc.array(deed, { maxLength: 24 }), { minLength: 4, maxLength: 8 }),
    joinsAtProgress: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
  });
  const numRuns = countOfCases(500, 20_000, 'GRADSOCK_SCHEDULES');
  const seed = freshSeed('GRADSOCK_SEED_SCHEDULES');

  test(`${numRuns} of them, seed ${seed}`, { timeout: 1_200_000 }, async () => {
    const quiet = new Map<number, string>();
    const configOf = (workers: number, microbatches: number) =>
      runConfig({ model, workers, microbatches, epochs: 2, globalBatch: 8 });
    const quietHash = async (microbatches: number) => {
      const known = quiet.get(microbatches);
      if (known !== undefined) return known;
      const hash = await hashOf({ config: configOf(1, microbatches), dataset, createEngine: createQuickEngine });
      quiet.set(microbatches, hash);
      return hash;
    };
    await fc.assert(
      fc.asyncProperty(schedule, async ({ workers, microbatches, deeds, joinsAtProgress }) => {
        let join!: () => Promise<string>;
        let numProgress = 0;
        const { replica, epochs } = await runCluster({
          config: configOf(workers, microbatches),
          dataset,
          createEngine: createQuickEngine,
          waitMs: 10_000,
          onStart: (given) => (join = given),
          say(line) {
            // One comes for each that is lost: those that come last have no deeds, and do as they should.
            if (line.startsWith('lost') || line.includes('has not joined')) setImmediate(() => void join());
          },
          onProgress() {
            for (const at of joinsAtProgress) if (at === numProgress) void join();
            numProgress++;
          },
          tamper: (transport, index) => acting(transport, deeds[index] ?? []),
        });
        expect(replica.parametersSha256()).toBe(await quietHash(microbatches));
        for (const { samples } of epochs) expect(samples).toBe(37);
      }),
      // The example: the last member is lost while work of another is given to it.
      {
        numRuns,
        seed,
        examples: [[{ workers: 2, microbatches: 7, deeds: [['repeat'], ['send', 'die']], joinsAtProgress: [] }]],
      },
    );
  });
});

/** Does what the list says when a result or a proof is sent; once it is through, what it should. */
function acting(transport: Transport, deeds: readonly ('send' | 'delay' | 'die' | 'repeat')[]): Transport {
  let next = 0;
  const queue: Message[] = [];
  const flush = () => {
    while (queue.length > 0) {
      try {
        transport.send(queue.shift()!);
      } catch {
        return; // The other end was faster.
      }
    }
  };
  return {
    ...transport,
    send(message) {
      const isAnswer = ['gradient', 'applied', 'evaluation'].includes(message.kind);
      const deed = isAnswer ? deeds[next++] : 'send';
      if (deed === 'die') {
        transport.close();
        throw closing();
      }
      if (deed === 'delay' || queue.length > 0) {
        queue.push(message);
        setImmediate(flush);
        return;
      }
      transport.send(message);
      if (deed === 'repeat') transport.send(message);
    },
  };
}
