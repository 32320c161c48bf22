/** Workers of a ring that are lost, hang, lose each other and join: every step is the average of its samples all the same. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../../protocol/errors.ts';
import type { ModelSpec } from '../../../../protocol/state/model-spec.ts';
import type { Message } from '../../../../protocol/wire/messages.ts';
import type { Transport } from '../../../../protocol/wire/transport.ts';
import type { Engine, EngineOptions } from '../../../../worker/engines/engine.ts';
import type { PeerSockets } from '../../../../worker/ring/set-up.ts';
import { madeUpDataset, runCluster, runConfig, TINY_MODEL } from '../../../helpers/cluster.ts';
import type { ClusterOptions } from '../../../helpers/cluster.ts';
import { countOfCases, freshSeed } from '../../../helpers/tier.ts';

const model: ModelSpec = {
  ...TINY_MODEL,
  layers: [{ kind: 'maxPool', size: 14 }, { kind: 'flatten' }, { kind: 'dense', units: 10, activation: 'none' }],
};
const NUM_SAMPLES = 37;
/** Three chunks of the test set. */
const dataset = madeUpDataset(NUM_SAMPLES, 600);

/**
 * Gradients of small whole numbers, different for every sample: a sum has the same bits in whatever order it is made, so
 * a run of rings ends with the bits of a quiet star if, and only if, each step's average is over that step's samples, each once.
 */
const createExactEngine = ({ plan }: EngineOptions): Promise<Engine> => {
  const count = { lossSum: 1, numCorrect: 0 };
  return Promise.resolve({
    name: 'exact',
    device: 'cpu',
    threads: 1,
    computeGradient({ images, numSamples }, { gradient }) {
      gradient.fill(0);
      for (let n = 0; n < numSamples; n++) {
        for (let i = 0; i < plan.numParameters; i++) gradient[i]! += images[n * 784 + i * 7]!;
      }
      return Promise.resolve({ ...count, numSamples });
    },
    evaluate: ({ numSamples }) => Promise.resolve({ ...count, numSamples }),
    dispose: () => Promise.resolve(),
  });
};

const configOf = (workers: number, changes: Partial<ClusterOptions['config']> = {}) =>
  runConfig({ model, workers, microbatches: 6, epochs: 3, globalBatch: 8, allReduce: 'ring', ...changes });

const quietHashes = new Map<string, Promise<string>>();
/** What a star of one worker ends with. */
function quietHash(config: ClusterOptions['config']): Promise<string> {
  const quiet = { ...config, workers: 1, allReduce: 'star' as const };
  const key = JSON.stringify([quiet.microbatches, quiet.epochs, quiet.localSteps, quiet.wire]);
  const hash =
    quietHashes.get(key) ??
    runCluster({ config: quiet, dataset, createEngine: createExactEngine }).then(({ replica }) =>
      replica.parametersSha256(),
    );
  quietHashes.set(key, hash);
  return hash;
}

/** Runs to the end, checks that every sample counted once, and returns what was said. */
async function expectExactRun(options: Partial<ClusterOptions> & Pick<ClusterOptions, 'config'>) {
  const said: string[] = [];
  const outcome = await runCluster({
    dataset,
    createEngine: createExactEngine,
    ...options,
    say(line) {
      said.push(line);
      options.say?.(line);
    },
  });
  expect(outcome.status).toBe('completed');
  expect(outcome.replica.parametersSha256()).toBe(await quietHash(options.config));
  for (const { samples, workers } of outcome.epochs) {
    expect(samples).toBe(NUM_SAMPLES);
    expect(workers.reduce((sum, worker) => sum + worker.workerSamples, 0)).toBe(NUM_SAMPLES);
  }
  return { ...outcome, said };
}

const closing = () => new ProtocolError('ERR_CLOSED', 'the cable was cut');
type Test = (message: Message) => boolean;

/** Whether it is the n-th time that a message of this kind comes by, from 1. */
const nth = (kind: Message['kind'], n: number): Test => {
  let count = 0;
  return (message) => message.kind === kind && ++count === n;
};

/** What happens to a worker: its connections to the coordinator and to its successor, as it sends on either. */
interface Fate {
  /** The process is gone, before it sends this. */
  readonly dies?: Test;
  /** It hangs: from this message on nothing is sent any more, and nothing ends. */
  readonly hangs?: Test;
  /** The link to its successor breaks, before this is sent on it. */
  readonly isCut?: Test;
}

/** The options of a cluster whose workers have these fates. */
function fated(fates: Readonly<Record<number, Fate>>): Pick<ClusterOptions, 'tamper' | 'tamperPeers'> {
  const ends = new Map<number, Transport>();
  const hanging = new Set<number>();
  const suffer = (transport: Transport, index: number, isLink: boolean): Transport => {
    const { dies, hangs, isCut } = fates[index] ?? {};
    return {
      ...transport,
      send(message) {
        if (dies?.(message)) {
          ends.get(index)!.close();
          throw closing();
        }
        if (hangs?.(message)) hanging.add(index);
        if (hanging.has(index)) return;
        if (isLink && isCut?.(message)) {
          transport.close();
          throw closing();
        }
        transport.send(message);
      },
    };
  };
  return {
    tamper(transport, index) {
      ends.set(index, transport);
      return suffer(transport, index, false);
    },
    tamperPeers: (peers, index) => ({
      ...peers,
      connect: async (url) => suffer(await peers.connect(url), index, true),
    }),
  };
}

describe('a worker of a ring that is lost', () => {
  // Five steps an epoch. A worker of three sends four pieces a step.
  test.each<[string, Test]>([
    ['before its sum', nth('ringSum', 3)],
    ['before the exchange', nth('ringChunk', 9)],
    ['in the exchange', nth('ringChunk', 11)],
    ['at the end of the exchange', nth('ringChunk', 12)],
    ['when it holds the average, and has not said so', nth('ringDone', 3)],
    ['before it proves the end of an epoch', nth('applied', 2)],
    ['before it sends the state', nth('snapshot', 1)],
    ['while it evaluates', nth('evaluation', 1)],
    ['before the first ring stands', nth('ringListening', 1)],
    ['as it connects', nth('peerHello', 1)],
    ['before it says that it is connected', nth('ringReady', 1)],
  ])('%s costs the run nothing but time', async (_when, dies) => {
    const { said, sessions } = await expectExactRun({ config: configOf(3), ...fated({ 0: { dies } }) });
    expect(said.filter((line) => line.startsWith('lost'))).toEqual([
      expect.stringMatching(/^lost worker worker-0 \(w1\)/),
    ]);
    expect(said.at(-1)).toBe('all-reduce: ring of 2 workers');
    expect(sessions.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  });

  test('is not the neighbour that complains of it', async () => {
    const reissued: [string, number][] = [];
    const { said } = await expectExactRun({
      config: configOf(4),
      onReissue: (...given) => reissued.push(given),
      ...fated({ 2: { dies: nth('ringChunk', 20) } }),
    });
    expect(reissued).toEqual([['ring_broken', 6]]);
    expect(said).toEqual([
      'all-reduce: ring of 4 workers',
      expect.stringMatching(/^lost worker worker-2/),
      'all-reduce: ring of 3 workers',
    ]);
  });

  test('together with another leaves a ring of the rest', async () => {
    const { said } = await expectExactRun({
      config: configOf(4),
      ...fated({ 1: { dies: nth('ringChunk', 20) }, 3: { dies: nth('ringClosed', 1) } }),
    });
    expect(said.slice(1)).toEqual([
      expect.stringMatching(/^lost worker worker-[13]/),
      expect.stringMatching(/^lost worker worker-[13]/),
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('as the last but one leaves a star', async () => {
    const { said } = await expectExactRun({ config: configOf(2), ...fated({ 1: { dies: nth('ringDone', 7) } }) });
    expect(said).toEqual([
      'all-reduce: ring of 2 workers',
      expect.stringMatching(/^lost worker worker-1/),
      'all-reduce: star, because a ring needs two workers or more',
    ]);
  });

  test.each(['bf16', 'f16', 'int8'] as const)('leaves the others equal with %s on the wire', async (wire) => {
    const said: string[] = [];
    const { status, epochs } = await runCluster({
      config: configOf(3, { wire }),
      dataset,
      say: (line) => said.push(line),
      ...fated({ 1: { dies: nth('ringChunk', 23) } }),
    });
    // Every epoch ends with everyone's proof: who differs is lost.
    expect(said.filter((line) => line.startsWith('lost'))).toHaveLength(1);
    expect([status, ...epochs.map(({ samples }) => samples)]).toEqual(['completed', 37, 37, 37]);
  });

  test('in a round of local steps has the round taken again', async () => {
    const config = configOf(3, { localSteps: 2 });
    const said: string[] = [];
    const ends = await Promise.all(
      [fated({ 1: { dies: nth('ringDone', 3) } }), {}].map(async (options) => {
        const { epochs, replica } = await runCluster({ config, dataset, ...options, say: (line) => said.push(line) });
        expect(epochs.map(({ samples }) => samples)).toEqual([NUM_SAMPLES, NUM_SAMPLES, NUM_SAMPLES]);
        return replica;
      }),
    );
    expect(said).toContain('all-reduce: ring of 2 workers');
    const [lossy, quiet] = ends.map(({ parameters }) => parameters);
    // Sums of changes are made in another order.
    for (const [i, value] of lossy!.entries()) expect(Math.abs(value - quiet![i]!)).toBeLessThan(1e-5);
  });
});

describe('a worker of a ring that hangs', () => {
  const impatient = { stepTimeoutSeconds: 0.5 };

  test.each<[string, Test, RegExp]>([
    ['while it computes', nth('ringSum', 4), /no ringSum or ringBroken/],
    ['in the exchange', nth('ringChunk', 14), /no ringClosed/],
    ['when it holds the average', nth('ringDone', 4), /no ringClosed/],
  ])('%s is the one that is lost, at a deadline', async (_when, hangs, why) => {
    const { said } = await expectExactRun({ config: configOf(3, impatient), ...fated({ 1: { hangs } }) });
    expect(said).toEqual([
      'all-reduce: ring of 3 workers',
      expect.stringMatching(/^lost worker worker-1 \(w2\), step \d+: /),
      'all-reduce: ring of 2 workers',
    ]);
    expect(said[1]).toMatch(why);
  });
});

describe('two workers that lose each other', () => {
  test('form a ring again', async () => {
    const { said } = await expectExactRun({ config: configOf(3), ...fated({ 1: { isCut: nth('ringChunk', 14) } }) });
    expect(said).toEqual([
      'all-reduce: ring of 3 workers',
      expect.stringMatching(
        /^all-reduce: the ring is broken in step \d+: worker-[12]: the link to worker-[12], its \w+ in the ring, failed/,
      ),
      'all-reduce: ring of 3 workers',
    ]);
  });

  /** Links from `from` to `to` break as soon as they are to carry anything, from the n-th piece on. */
  const cutBetween = (from: number, to: number, n: number): Pick<ClusterOptions, 'tamperPeers'> => {
    const urls = new Map<string, number>();
    let count = 0;
    return {
      tamperPeers: (peers: PeerSockets, index) => ({
        async listen(onConnection) {
          const listener = await peers.listen(onConnection);
          urls.set(listener.url, index);
          return listener;
        },
        async connect(url) {
          const transport = await peers.connect(url);
          const ends = [index, urls.get(url)];
          if (!ends.includes(from) || !ends.includes(to)) return transport;
          return {
            ...transport,
            send(message) {
              if (message.kind === 'ringChunk' && ++count >= n) {
                transport.close();
                throw closing();
              }
              transport.send(message);
            },
          };
        },
      }),
    };
  };

  test('for good take the star, with the reason', async () => {
    const { said } = await expectExactRun({ config: configOf(3), ...cutBetween(0, 1, 14) });
    expect(said).toEqual([
      'all-reduce: ring of 3 workers',
      expect.stringMatching(/^all-reduce: the ring is broken in step \d+: worker-[01]/),
      'all-reduce: ring of 3 workers',
      expect.stringMatching(/^all-reduce: the ring is broken in step \d+: worker-[01]/),
      expect.stringMatching(/^all-reduce: star, because worker-[01]: the link to worker-[01], its \w+ in the ring/),
    ]);
  });

  test('for good are not neighbours in the next ring, where there are four', async () => {
    const { said } = await expectExactRun({ config: configOf(4), ...cutBetween(2, 3, 14) });
    expect(said).toEqual([
      'all-reduce: ring of 4 workers',
      expect.stringMatching(/^all-reduce: the ring is broken in step \d+: worker-[23]/),
      'all-reduce: ring of 4 workers',
    ]);
  });
});

describe('workers that keep being lost', () => {
  test('end in a star for the rest of the epoch', async () => {
    let join!: () => Promise<string>;
    const isFirstOfEpoch: number[] = [];
    const { said } = await expectExactRun({
      config: configOf(3),
      onStart: (given) => (join = given),
      say(line) {
        if (line.startsWith('lost')) void join();
      },
      onProgress: ({ stepInEpoch }) => isFirstOfEpoch.push(stepInEpoch),
      // The third worker, and all that come in its place: each dies in its first exchange.
      ...fated(Object.fromEntries([2, 3, 4, 5].map((index) => [index, { dies: nth('ringChunk', 2) }]))),
    });
    expect(said.filter((line) => line.startsWith('lost'))).toHaveLength(4);
    expect(said).toContain('all-reduce: star, because 4 rings in a row have lost a worker');
    expect(said.at(-1)).toBe('all-reduce: ring of 3 workers');
  });

  test('all at once have the steps taken again by those that come', async () => {
    let join!: () => Promise<string>;
    const reissued: [string, number][] = [];
    const { said } = await expectExactRun({
      config: configOf(2),
      waitMs: 20_000,
      onStart: (given) => (join = given),
      onReissue: (...given) => reissued.push(given),
      say(line) {
        if (line.startsWith('no worker is left')) for (let i = 0; i < 2; i++) void join();
      },
      // In the fourth step of the second epoch: three are lost with them.
      ...fated({ 0: { dies: nth('ringDone', 9) }, 1: { dies: nth('ringDone', 9) } }),
    });
    expect(said).toEqual([
      'all-reduce: ring of 2 workers',
      expect.stringMatching(/^lost worker/),
      expect.stringMatching(/^lost worker/),
      'all-reduce: star, because the workers that had step 8 are lost: going on from step 5',
      expect.stringMatching(/^no worker is left at step 5/),
      expect.stringMatching(/^worker-[23] \(w[34]\) takes part from step 6 on/),
      expect.stringMatching(/^worker-[23] \(w[34]\) takes part from step \d+ on/),
      'all-reduce: ring of 2 workers',
    ]);
    // Step 9, and steps 6 to 8.
    expect(reissued).toEqual([['ring_broken', 6], ...[6, 7, 8].map(() => ['lost', 6])]);
  });

  test('all at the end of an epoch have the epoch taken again', async () => {
    let join!: () => Promise<string>;
    const { said } = await expectExactRun({
      config: configOf(2),
      waitMs: 20_000,
      onStart: (given) => (join = given),
      say(line) {
        if (line.startsWith('no worker is left')) void join();
      },
      ...fated({ 0: { dies: nth('snapshot', 2) }, 1: { dies: nth('applied', 3) } }),
    });
    expect(said).toContain('all-reduce: star, because the workers that had step 10 are lost: going on from step 5');
  });

  test('with nobody to take their place end the run with a name', async () => {
    const run = runCluster({
      config: configOf(2),
      dataset,
      createEngine: createExactEngine,
      ...fated({ 0: { dies: nth('ringDone', 4) }, 1: { dies: nth('ringDone', 4) } }),
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_CLOSED', worker: expect.stringMatching(/^worker-[01]$/) });
  });
});

describe('a worker that joins a run with a ring', () => {
  test('takes part from the next epoch on', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const { said, epochs } = await expectExactRun({
      config: configOf(2),
      onStart: (given) => (join = given),
      onProgress() {
        if (++numSteps === 2) void join();
      },
    });
    expect(said).toEqual([
      'all-reduce: ring of 2 workers',
      'worker-2 (w3) stands by: the ring takes in workers between epochs',
      'worker-2 (w3) takes part from step 6 on',
      'all-reduce: ring of 3 workers',
    ]);
    expect(epochs.map(({ workers }) => workers.length)).toEqual([2, 3, 3]);
  });

  test('takes part at once when a ring breaks', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const { said } = await expectExactRun({
      config: configOf(2),
      onStart: (given) => (join = given),
      onProgress() {
        if (++numSteps === 1) void join();
      },
      ...fated({ 0: { dies: nth('ringDone', 4) } }),
    });
    expect(said).toEqual([
      'all-reduce: ring of 2 workers',
      'worker-2 (w3) stands by: the ring takes in workers between epochs',
      expect.stringMatching(/^lost worker worker-0/),
      'worker-2 (w3) takes part from step 4 on',
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('stands by where there is no work for one more, and takes the place of one that is lost', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const { said } = await expectExactRun({
      config: configOf(2, { microbatches: 2 }),
      onStart: (given) => (join = given),
      onProgress() {
        if (++numSteps === 1) void join();
      },
      ...fated({ 1: { dies: nth('ringDone', 8) } }),
    });
    expect(said.slice(1)).toEqual([
      expect.stringMatching(/^worker-2 \(w3\) stands by: each of the 2 microbatches of a step has a worker/),
      expect.stringMatching(/^lost worker worker-1/),
      'worker-2 (w3) takes part from step 8 on',
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('and leaves before its turn is forgotten', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const late: { end?: Transport } = {};
    const { said } = await expectExactRun({
      config: configOf(2),
      onStart: (given) => (join = given),
      onProgress() {
        numSteps++;
        if (numSteps === 1) void join();
        if (numSteps === 4) late.end!.close();
      },
      tamper(transport, index) {
        if (index === 2) late.end = transport;
        return transport;
      },
    });
    expect(said.filter((line) => !line.includes('stands by'))).toEqual(['all-reduce: ring of 2 workers']);
  });

  test('while the star stands in is in the ring that is formed after it', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const { said } = await expectExactRun({
      config: configOf(1, { microbatches: 2, epochs: 4 }),
      onStart: (given) => (join = given),
      onProgress() {
        if (++numSteps !== 1) return;
        // There is work for one of them; the other stands by, and is given the averages of the star.
        void join();
        void join();
      },
      ...fated({ 0: { dies: nth('ringSum', 7) } }),
    });
    expect(said.filter((line) => !line.includes('stands by'))).toEqual([
      'all-reduce: star, because a ring needs two workers or more',
      expect.stringMatching(/^worker-[12] \(w[23]\) takes part from step [2-5] on/),
      'all-reduce: ring of 2 workers',
      expect.stringMatching(/^lost worker worker-0 \(w1\), step 12/),
      expect.stringMatching(/^worker-[12] \(w[23]\) takes part from step 12 on/),
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('and fails does not stop the others', async () => {
    let join!: () => Promise<string>;
    let numSteps = 0;
    const { said } = await expectExactRun({
      config: configOf(2),
      onStart: (given) => (join = given),
      onProgress() {
        if (++numSteps === 1) void join();
      },
      ...fated({ 2: { dies: nth('applied', 1) } }),
    });
    expect(said.slice(1)).toEqual([
      'worker-2 (w3) stands by: the ring takes in workers between epochs',
      expect.stringMatching(/^worker-2 has not joined: /),
      'all-reduce: ring of 2 workers',
    ]);
  });
});

describe('replicas that differ at the end of an epoch:', () => {
  /** A worker whose parameters are changed behind its back after its n-th sum. */
  const spoiled = (index: number, n: number): Pick<ClusterOptions, 'createEngine'> => ({
    async createEngine(options, of) {
      const engine = await createExactEngine(options);
      let count = 0;
      return {
        ...engine,
        computeGradient(batch, into) {
          if (of === index && ++count === n) options.parameters[0]! += 1;
          return engine.computeGradient(batch, into);
        },
      };
    },
  });

  test('the one that has not what most have is lost', async () => {
    const { said } = await expectExactRun({ config: configOf(3), ...spoiled(0, 5) });
    expect(said.slice(1)).toEqual([
      expect.stringMatching(/^lost worker worker-0 .*its parameters at step 5 are not those of the others/),
      'all-reduce: ring of 2 workers',
    ]);
  });

  test('where two differ nobody is believed, and the epoch is taken again', async () => {
    let join!: () => Promise<string>;
    const { said } = await expectExactRun({
      config: configOf(2),
      waitMs: 20_000,
      onStart: (given) => (join = given),
      say(line) {
        if (line.startsWith('no worker is left')) void join();
      },
      ...spoiled(1, 20),
    });
    expect(said.filter((line) => /^lost .* are not those of another/.test(line))).toHaveLength(2);
    expect(said).toContain('all-reduce: star, because the workers that had step 10 are lost: going on from step 5');
  });
});

describe('an average that is not finite', () => {
  /** A worker that computes nonsense for its n-th to last-th gradients. */
  const sick = (index: number, n: number, last: number): Pick<ClusterOptions, 'createEngine'> => ({
    async createEngine(options, of) {
      const engine = await createExactEngine(options);
      let count = 0;
      return {
        ...engine,
        async computeGradient(batch, into) {
          const sums = await engine.computeGradient(batch, into);
          count++;
          if (of === index && count >= n && count <= last) into.gradient[3] = NaN;
          return sums;
        },
      };
    },
  });

  test('is computed once more, with every microbatch on another worker', async () => {
    const shares: string[] = [];
    const reissued: [string, number][] = [];
    const { said } = await expectExactRun({
      config: configOf(3, { microbatches: 3 }),
      onReissue: (...given) => reissued.push(given),
      ...sick(1, 4, 4),
      tamper: (transport, index) => ({
        ...transport,
        send(message) {
          if (message.kind === 'ringSum') shares.push(`${message.step}: ${index} has ${message.firstMicrobatch}`);
          transport.send(message);
        },
      }),
    });
    expect(said.slice(1)).toEqual([expect.stringMatching(/^step 4: the average is not finite: taking the step again/)]);
    const ofStep = shares.filter((share) => share.startsWith('4:')).sort();
    expect(ofStep).toHaveLength(6);
    expect(reissued).toEqual([['not_finite', 3]]);
    expect(new Set(ofStep).size).toBe(6);
  });

  test('twice ends the run', async () => {
    const run = runCluster({
      config: configOf(3),
      dataset,
      ...sick(1, 4, 100),
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_NOT_FINITE', step: 2 });
  });
});

describe('any schedule of deaths, cut links, delays, hanging and joins', () => {
  const SET_UP: readonly Message['kind'][] = ['ringListening', 'peerHello', 'ringReady'];
  type Deed = 'send' | 'delay' | 'die' | 'cut' | 'hang';
  /** What becomes of each message that a worker sends, to the coordinator or along the ring: mostly nothing. */
  const scheduleOf = (weights: Readonly<Record<Deed, number>>) => {
    const deeds = Object.entries(weights) as [Deed, number][];
    const deed = fc.oneof(...deeds.map(([what, weight]) => ({ weight: 10 * weight, arbitrary: fc.constant(what) })));
    return fc.record({
      workers: fc.integer({ min: 1, max: 5 }),
      microbatches: fc.integer({ min: 5, max: 7 }),
      deeds: fc.array(fc.array(deed, { maxLength: 120, size: 'max' }), { minLength: 5, maxLength: 9 }),
      joinsAtProgress: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
    });
  };
  const scale = countOfCases(100, 5000, 'GRADSOCK_SCHEDULES') / 500;
  const seed = freshSeed('GRADSOCK_SEED_SCHEDULES');
  const survived = { numRuns: 0, numLost: 0, numRings: 0 };

  /** A worker's connections do what its list says, message by message; once it is through, what they should. */
  function acting(deedsOf: readonly (readonly Deed[])[]): Pick<ClusterOptions, 'tamper' | 'tamperPeers'> {
    const ends = new Map<number, Transport>();
    const next = new Map<number, number>();
    const hanging = new Set<number>();
    const act = (transport: Transport, index: number): Transport => {
      const queue: Message[] = [];
      const flush = () => {
        try {
          while (queue.length > 0) transport.send(queue.shift()!);
        } catch {
          // The other end was faster.
        }
      };
      return {
        ...transport,
        send(message) {
          const at = next.get(index) ?? 0;
          const isActed = message.kind !== 'hello' && message.kind !== 'ready';
          const deed = isActed ? (deedsOf[index]?.[at] ?? 'send') : 'send';
          if (isActed) next.set(index, at + 1);
          // Between processes pings find one that hangs while it connects; here it would take long.
          if (deed === 'hang' && !SET_UP.includes(message.kind)) hanging.add(index);
          if (hanging.has(index)) return;
          if (deed === 'die') {
            ends.get(index)!.close();
            throw closing();
          }
          if (deed === 'cut' && message.kind === 'ringChunk') {
            transport.close();
            throw closing();
          }
          if (deed !== 'delay' && queue.length === 0) {
            transport.send(message);
            return;
          }
          queue.push(message);
          setImmediate(flush);
        },
      };
    };
    return {
      tamper(transport, index) {
        ends.set(index, transport);
        return act(transport, index);
      },
      tamperPeers: (peers, index) => ({ ...peers, connect: async (url) => act(await peers.connect(url), index) }),
    };
  }

  test.each([
    // Hanging takes until a deadline: those are fewer.
    { numRuns: 500, weights: { send: 60, delay: 6, die: 1, cut: 1, hang: 0 }, stepTimeoutSeconds: 20 },
    { numRuns: 20, weights: { send: 60, delay: 6, die: 0.5, cut: 0.5, hang: 0.3 }, stepTimeoutSeconds: 0.3 },
  ])(`$numRuns of them x ${scale}, seed ${seed}: $weights`, { timeout: 280_000 }, async (options) => {
    const numRuns = options.numRuns * scale;
    survived.numRuns += numRuns;
    await fc.assert(
      fc.asyncProperty(scheduleOf(options.weights), async ({ workers, microbatches, deeds, joinsAtProgress }) => {
        let join!: () => Promise<string>;
        let numProgress = 0;
        const { said } = await expectExactRun({
          config: configOf(workers, { microbatches, epochs: 2, stepTimeoutSeconds: options.stepTimeoutSeconds }),
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
          ...acting(deeds),
        });
        survived.numLost += said.filter((line) => line.startsWith('lost')).length;
        survived.numRings += said.filter((line) => line.startsWith('all-reduce: ring')).length;
      }),
      { numRuns, seed },
    );
  });

  // Of a few schedules all may be quiet; of all together they are not.
  test('in all of them together there was something to survive', () => {
    expect(survived.numLost).toBeGreaterThan(survived.numRuns / 10);
    expect(survived.numRings).toBeGreaterThan(survived.numRuns);
  });
});
