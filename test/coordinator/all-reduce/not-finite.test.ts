/** Numbers that are not finite: never applied; computed once more elsewhere; and whose fault they are is found out. */
import { describe, expect, test } from 'vitest';
import type { Engine, EngineOptions, GradientBuffers } from '../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { runCluster, runConfig, WIDE_MODEL } from '../../helpers/cluster.ts';
import type { ClusterOptions } from '../../helpers/cluster.ts';

const hashOf = async (options: ClusterOptions) => (await runCluster(options)).replica.parametersSha256();

/** An engine whose gradients `spoil` may change; it is told how many came before. */
async function spoiled(options: EngineOptions, spoil: (into: GradientBuffers, count: number) => void): Promise<Engine> {
  const engine = await createReferenceEngine(options);
  let count = 0;
  return {
    ...engine,
    async computeGradient(batch, into) {
      const result = await engine.computeGradient(batch, into);
      spoil(into, count++);
      return result;
    },
  };
}

const config = runConfig({ workers: 3, microbatches: 6, model: WIDE_MODEL, epochs: 2 });

describe.each([1, 6])('a gradient that is not finite, in %i buckets', (numBuckets) => {
  test('once, is computed again, and the run goes on as if nothing had been', async () => {
    const said: string[] = [];
    const reissued: [string, number][] = [];
    const outcome = await runCluster({
      config,
      numBuckets,
      say: (line) => said.push(line),
      onReissue: (...given) => reissued.push(given),
      createEngine: (options, index) =>
        spoiled(options, ({ gradient }, count) => {
          if (index === 1 && count === 5) gradient[gradient.length - 1] = NaN;
        }),
    });
    expect(said).toEqual(['step 3: the average is not finite; it is not applied, and computed once more']);
    expect(reissued).toEqual([['not_finite', 6]]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
    for (const { samples } of outcome.epochs) expect(samples).toBe(150);
  });

  test('from one engine alone, costs that worker its place', async () => {
    const said: string[] = [];
    const outcome = await runCluster({
      config,
      numBuckets,
      say: (line) => said.push(line),
      createEngine: (options, index) =>
        spoiled(options, ({ gradient }, count) => {
          if (index === 2 && count >= 3) gradient[0] = Infinity;
        }),
    });
    expect(said[0]).toMatch(/^step 2: the average is not finite/);
    expect(said.slice(1)).toEqual([
      expect.stringMatching(
        /^lost worker worker-2 \(w3\), step 2: the gradient of dense1.weight here is not finite, but is on worker worker-\d: its engine or device computes wrongly/,
      ),
    ]);
    expect(outcome.sessions[2]).toMatchObject({ status: 'rejected', reason: { code: 'ERR_ENGINE' } });
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
    for (const { samples } of outcome.epochs) expect(samples).toBe(150);
  });

  test('from the only member, costs it its place where another worker stands by', async () => {
    const said: string[] = [];
    let join!: () => Promise<string>;
    let numSteps = 0;
    let isWrong = false;
    const outcome = await runCluster({
      config: { ...config, workers: 1, microbatches: 1 },
      numBuckets,
      say(line) {
        said.push(line);
        isWrong ||= line.includes('stands by');
      },
      onStart: (given) => (join = given),
      onProgress() {
        if (numSteps++ === 0) void join();
      },
      createEngine: (options, index) =>
        spoiled(options, ({ gradient }) => {
          if (index === 0 && isWrong) gradient.fill(NaN);
        }),
    });
    expect(said).toEqual([
      expect.stringMatching(/^worker-1 \(w2\) stands by/),
      expect.stringMatching(/^step \d+: the average is not finite/),
      expect.stringMatching(/^worker-1 \(w2\) takes part/),
      expect.stringMatching(/^lost worker worker-0 .* is not finite, but is on worker worker-1: its engine/),
    ]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config: { ...config, microbatches: 1 } }));
  });

  test('once, from the only member: the worker that stood by stands by again', async () => {
    const said: string[] = [];
    let join!: () => Promise<string>;
    let numSteps = 0;
    let spoils = 0;
    const outcome = await runCluster({
      config: { ...config, workers: 1, microbatches: 1 },
      numBuckets,
      say(line) {
        said.push(line);
        if (line.includes('stands by') && said.length === 1) spoils = 1;
      },
      onStart: (given) => (join = given),
      onProgress() {
        if (numSteps++ === 0) void join();
      },
      createEngine: (options, index) =>
        spoiled(options, ({ gradient }) => {
          if (index === 0 && spoils-- > 0) gradient.fill(NaN);
        }),
    });
    expect(said.map((line) => line.replace(/^.*(stands by|not finite|takes part).*$/, '$1'))).toEqual([
      'stands by',
      'not finite',
      'takes part',
      'stands by',
    ]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config: { ...config, microbatches: 1 } }));
  });

  test.each([1, 3])('that is the model’s own ends the run, with step, tensor and cure: %i workers', async (workers) => {
    const parameters: Float32Array[] = [];
    const run = runCluster({
      config: { ...config, workers },
      numBuckets,
      createEngine(options) {
        parameters.push(options.parameters);
        const before = Float32Array.from(options.parameters);
        // From the second step on, no matter which worker computes it.
        return spoiled(options, ({ gradient }) => {
          if (options.parameters.some((value, i) => value !== before[i])) gradient[gradient.length - 1] = NaN;
        });
      },
    });
    await expect(run).rejects.toMatchObject({
      code: 'ERR_NOT_FINITE',
      step: 2,
      message: expect.stringMatching(
        /^step 2 \(epoch 1\): not finite: the gradient of dense2.bias, as worker-\d( and worker-\d)? found\. .*--clip-norm/,
      ),
    });
    for (const values of parameters) expect(values.every(Number.isFinite)).toBe(true);
  });
});

test('a loss that is not finite is told by its name', async () => {
  const run = runCluster({
    config,
    async createEngine(options) {
      const engine = await createReferenceEngine(options);
      return {
        ...engine,
        computeGradient: async (batch, into) => ({ ...(await engine.computeGradient(batch, into)), lossSum: NaN }),
      };
    },
  });
  await expect(run).rejects.toThrow(/step 1 \(epoch 1\): not finite: the loss, as worker-\d and worker-\d found/);
});

test('what int8 carries from step to step is not spoiled', async () => {
  const outcome = await runCluster({
    config: { ...config, wire: 'int8' },
    createEngine: (options, index) =>
      spoiled(options, ({ gradient }, count) => {
        if (index === 1 && count === 5) gradient.fill(NaN);
      }),
  });
  expect(outcome.status).toBe('completed');
  expect(outcome.replica.state.every(Number.isFinite)).toBe(true);
});

test('with local steps, too', async () => {
  const local = { ...config, localSteps: 2 };
  const outcome = await runCluster({
    config: local,
    createEngine: (options, index) =>
      spoiled(options, ({ gradient }, count) => {
        if (index === 1 && count === 5) gradient[3] = NaN;
      }),
  });
  expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config: local }));
});

test('a worker that says so of a step which is computed for the first time is lost, and the run goes on', async () => {
  const said: string[] = [];
  const outcome = await runCluster({
    config,
    say: (line) => said.push(line),
    tamper: (transport, index) => ({
      ...transport,
      send(message) {
        if (index !== 1 || message.kind !== 'gradient' || message.step !== 3) {
          transport.send(message);
          return;
        }
        const { step, firstMicrobatch, numMicrobatches } = message;
        transport.send({ kind: 'notFinite', step, firstMicrobatch, numMicrobatches, what: 'the loss' });
      },
    }),
  });
  expect(said).toEqual([
    expect.stringMatching(/^lost worker worker-1 \(w2\), step 3: the loss is not finite, which it was not asked for/),
  ]);
  expect(outcome.sessions[1]).toMatchObject({ status: 'rejected', reason: { code: 'ERR_UNEXPECTED_MESSAGE' } });
  expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
});
