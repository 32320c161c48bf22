/** What a ring's workers keep of rounding, with int8, when a step is taken again. */
import { expect, test } from 'vitest';
import { ProtocolError } from '../../../../protocol/errors.ts';
import { uniformFloats } from '../../../../protocol/data/random.ts';
import type { MicrobatchResult, EngineOptions, Engine } from '../../../../worker/engines/engine.ts';
import { PLAIN_SGD } from '../../../helpers/optimizers.ts';
import { madeUpDataset, runCluster, runConfig } from '../../../helpers/cluster.ts';
import type { ClusterOptions } from '../../../helpers/cluster.ts';

/** Nine steps of three equal microbatches. */
const dataset = madeUpDataset(36, 12);
const config = runConfig({ workers: 3, microbatches: 3, epochs: 3, globalBatch: 12, allReduce: 'ring', wire: 'int8' });

/** The same gradient for every sample: it does not matter who computes which. `sickAt`: a worker's n-th is NaN. */
const createAlikeEngine = (sickAt?: { index: number; n: number }): NonNullable<ClusterOptions['createEngine']> =>
  function create({ plan }: EngineOptions, index): Promise<Engine> {
    const random = uniformFloats(5);
    const ofASample = Float32Array.from({ length: plan.numParameters }, () => random() - 0.5);
    let count = 0;
    const result = ({ numSamples }: { numSamples: number }): MicrobatchResult => {
      return { lossSum: 1, numCorrect: 0, numSamples };
    };
    return Promise.resolve({
      name: 'alike',
      device: 'cpu',
      threads: 1,
      computeGradient(batch, { gradient, statistics }) {
        gradient.set(ofASample.map((value) => value * batch.numSamples));
        statistics.fill(0);
        if (index === sickAt?.index && ++count === sickAt.n) gradient[3] = NaN;
        return Promise.resolve(result(batch));
      },
      evaluate: (batch) => Promise.resolve(result(batch)),
      dispose: () => Promise.resolve(),
    });
  };

async function run(options: Partial<ClusterOptions> = {}) {
  const said: string[] = [];
  const outcome = await runCluster({
    config,
    dataset,
    createEngine: createAlikeEngine(),
    say: (line) => said.push(line),
    ...options,
  });
  expect(outcome.status).toBe('completed');
  return { said, parameters: outcome.replica.parameters, hash: outcome.replica.parametersSha256() };
}

test('what rounding takes away from a step goes with the next: it does not add up', async () => {
  const constant = {
    ...config,
    epochs: 20,
    optimizer: PLAIN_SGD,
    schedule: { ...config.schedule, name: 'constant', warmupSteps: 0, learningRate: 1 / 16 },
  } as const;
  const [rounded, exact] = [await run({ config: constant }), await run({ config: { ...constant, wire: 'f32' } })];
  const difference = exact.parameters.reduce((most, x, i) => Math.max(most, Math.abs(x - rounded.parameters[i]!)), 0);
  // The largest value is 1/2 a sample: a place is 1/254. Errors of half a place, 60 times the same, would be 30 of them.
  expect(difference * 16).toBeLessThan(10 / 254);
});

test('nothing of an average that is not finite is carried on: a run with one ends as a run without', async () => {
  const quiet = await run();
  for (const index of [0, 1, 2]) {
    const sick = await run({ createEngine: createAlikeEngine({ index, n: 4 }) });
    expect(sick.said.slice(1)).toEqual([expect.stringMatching(/^step 4: the average is not finite/)]);
    expect(sick.hash).toBe(quiet.hash);
  }
});

test('a ring that broke leaves nothing to the next one, wherever in a step it broke', async () => {
  /** A run whose ring breaks in step 4, as worker 1 is to send its n-th piece of that step. */
  const brokenAt = (n: number) => {
    let count = 0;
    return run({
      tamperPeers: (peers, index) => ({
        ...peers,
        async connect(url) {
          const transport = await peers.connect(url);
          return {
            ...transport,
            send(message) {
              if (index === 1 && message.kind === 'ringChunk' && message.step === 4 && ++count === n) {
                transport.close();
                throw new ProtocolError('ERR_CLOSED', 'the cable was cut');
              }
              transport.send(message);
            },
          };
        },
      }),
    });
  };
  // Each of three workers sends four pieces a step. The one with the last chunk also sends the statistics.
  const first = await brokenAt(1);
  expect(first.said).toEqual([
    'all-reduce: ring of 3 workers',
    expect.stringMatching(/^all-reduce: the ring is broken in step 4/),
    'all-reduce: ring of 3 workers',
  ]);
  for (const n of [2, 3, 4]) expect((await brokenAt(n)).hash).toBe(first.hash);
});
