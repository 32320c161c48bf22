import { describe, expect, test } from 'vitest';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { epochOrder } from '../../protocol/data/random.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { IMAGE_BYTES } from '../helpers/fashion-mnist.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { partsOf, sumOfParts } from '../helpers/parts.ts';
import { madeUpDataset, runCluster, runConfig, TINY_MODEL } from '../helpers/cluster.ts';

const final = async (workers: number, changes = {}) => runCluster({ config: runConfig({ workers, ...changes }) });

describe('training', () => {
  test('ends with the same bits on 1, 2, 3 and 4 workers, and with the replica shared', async () => {
    const [one, ...others] = await Promise.all([
      ...[1, 2, 3, 4].map((workers) => final(workers)),
      runCluster({ config: runConfig(), shareReplica: true }),
    ]);
    for (const other of others) {
      expect(other.replica.parametersSha256()).toBe(one.replica.parametersSha256());
      expect(other.replica.state).toEqual(one.replica.state);
      const figures = ({ epochs }: typeof one & object) =>
        epochs.map(({ loss, trainAccuracy, testLoss, testAccuracy }) => [loss, trainAccuracy, testLoss, testAccuracy]);
      expect(figures(other)).toEqual(figures(one));
      expect(other.confusions).toEqual(one.confusions);
    }
  });

  test('what dropout drops does not depend on who computes it', async () => {
    const [conv, ...rest] = TINY_MODEL.layers;
    const dropout = { kind: 'dropout', rate: 0.3 } as const;
    const block = { kind: 'residual', layers: [dropout, { kind: 'batchNorm' }], activation: 'relu' } as const;
    const model: ModelSpec = { ...TINY_MODEL, layers: [conv!, { ...block, layers: [...block.layers] }, ...rest] };
    const [one, two, three] = await Promise.all([1, 2, 3].map((workers) => final(workers, { model, epochs: 1 })));
    expect(one!.status).toBe('completed');
    expect(two!.replica.state).toEqual(one!.replica.state);
    expect(three!.replica.state).toEqual(one!.replica.state);
  });

  test('learns what can be learnt', async () => {
    const { epochs } = await final(2, { epochs: 15 });
    expect(epochs.at(-1)!.testAccuracy).toBeGreaterThan(0.9);
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss / 2);
  });

  test.each(['bf16', 'f16', 'int8'] as const)(
    'learns as well with %s on the wire, all replicas equal',
    async (wire) => {
      const exact = await final(2, { epochs: 4 });
      const compact = await final(2, { epochs: 4, wire });
      expect(compact.status).toBe('completed');
      expect(compact.replica.parametersSha256()).not.toBe(exact.replica.parametersSha256());
      const [loss, exactLoss] = [compact, exact].map(({ epochs }) => epochs.at(-1)!.loss);
      expect(Math.abs(loss! - exactLoss!)).toBeLessThan(0.02 * exactLoss!);
    },
  );

  describe('in buckets', () => {
    // 22,326 parameters and 56 statistics: six buckets, more than a worker sends ahead.
    const layers = TINY_MODEL.layers.flatMap((layer) => {
      if (layer.kind === 'maxPool') return [];
      return [layer.kind === 'dense' && layer.units === 12 ? { ...layer, units: 28 } : layer];
    });
    const model: ModelSpec = { ...TINY_MODEL, layers };

    test.each(WIRE_FORMATS)('%s ends with the same bits as in one', async (wire) => {
      const config = runConfig({ workers: 3, model, epochs: 1, wire });
      const inOne = await runCluster({ config });
      const inSix = await runCluster({ config, numBuckets: 6 });
      expect(inSix.replica.state).toEqual(inOne.replica.state);
    });

    test('an average that is not finite in its first bucket is applied by nobody', async () => {
      const config = runConfig({ workers: 2, model, epochs: 1 });
      let numGradients = 0;
      const parameters: Float32Array[] = [];
      const run = runCluster({
        config,
        numBuckets: 6,
        async createEngine(options) {
          const engine = await createReferenceEngine(options);
          parameters.push(options.parameters);
          return {
            ...engine,
            async computeGradient(batch, into) {
              const result = await engine.computeGradient(batch, into);
              // From the second step of four microbatches on; the end of the gradient travels first.
              if (++numGradients >= 6) into.gradient[into.gradient.length - 1] = NaN;
              return result;
            },
          };
        },
      });
      await expect(run).rejects.toMatchObject({ code: 'ERR_NOT_FINITE', step: 2 });
      for (const values of parameters) expect(values.every(Number.isFinite)).toBe(true);
    });
  });

  test("applies the mean gradient of the whole batch: W workers' average is one engine's", async () => {
    // Without batch norm the gradient of a batch does not depend on how it was cut.
    const model: ModelSpec = { ...TINY_MODEL, layers: TINY_MODEL.layers.filter(({ kind }) => kind !== 'batchNorm') };
    const config = runConfig({
      workers: 3,
      model,
      maxSteps: 1,
      optimizer: { ...runConfig().optimizer, momentum: 0 },
      schedule: { ...runConfig().schedule, name: 'constant', warmupSteps: 0, learningRate: 1 },
    });
    const dataset = madeUpDataset();
    const { replica } = await runCluster({ config, dataset });

    const plan = planModel(model);
    const before = createReplica(plan, config.optimizer, config.seed);
    const engine = await createReferenceEngine({
      plan,
      parameters: before.parameters,
      buffers: before.buffers,
      maxBatch: 32,
      threads: 1,
    });
    const order = epochOrder(config.seed, 1, dataset.train.numSamples).subarray(0, 32);
    const images = new Uint8Array(32 * IMAGE_BYTES);
    order.forEach((from, i) =>
      images.set(dataset.train.images.subarray(from * IMAGE_BYTES, (from + 1) * IMAGE_BYTES), i * IMAGE_BYTES),
    );
    const labels = Uint8Array.from(order, (from) => dataset.train.labels[from]!);
    const into = { gradient: new Float32Array(plan.numParameters), statistics: new Float32Array(0) };
    await engine.computeGradient({ images, labels, numSamples: 32 }, into);
    for (let i = 0; i < plan.numParameters; i++) {
      expect(replica.parameters[i]).toBeCloseTo(before.parameters[i]! - into.gradient[i]! / 32, 6);
    }
  });

  test('counts every sample of every epoch once, the ragged last batch included', async () => {
    const { epochs, replica } = await final(3);
    expect(epochs.map(({ samples, steps }) => [samples, steps])).toEqual([
      [150, 5],
      [150, 5],
    ]);
    expect(replica.step).toBe(10);
    for (const { workers } of epochs)
      expect(workers.reduce((sum, { workerSamples }) => sum + workerSamples, 0)).toBe(150);
  });

  test('goes on when the last batch has fewer samples than workers', async () => {
    // 33 samples: the second step has one, which one of four workers computes.
    const dataset = madeUpDataset(33, 10);
    const four = await runCluster({ config: runConfig({ workers: 4 }), dataset });
    const one = await runCluster({ config: runConfig({ workers: 1 }), dataset });
    expect(four.replica.parametersSha256()).toBe(one.replica.parametersSha256());
    expect(four.epochs.map(({ steps }) => steps)).toEqual([2, 2]);
  });

  test('stops after --max-steps, in the middle of an epoch', async () => {
    const { replica, epochs, status } = await final(2, { maxSteps: 7 });
    expect([replica.step, status]).toEqual([7, 'completed']);
    expect(epochs.map(({ steps }) => steps)).toEqual([5, 2]);
  });

  test('every worker is told why it may go', async () => {
    const { sessions } = await final(2);
    expect(sessions).toEqual([
      { status: 'fulfilled', value: 'done' },
      { status: 'fulfilled', value: 'done' },
    ]);
  });

  test('is interrupted after the step at hand, with replicas proven equal', async () => {
    const controller = new AbortController();
    const onProgress = ({ epoch, stepInEpoch }: { epoch: number; stepInEpoch: number }) => {
      if (epoch === 1 && stepInEpoch === 2) controller.abort();
    };
    const outcome = await runCluster({ config: runConfig({ workers: 2 }), signal: controller.signal, onProgress });
    expect(outcome.status).toBe('interrupted');
    expect(outcome.replica.step).toBe(3);
    expect(outcome.sessions.every(({ status }) => status === 'fulfilled')).toBe(true);
  });
});

describe('the breakdown', () => {
  test('sums to the wall time of the steps within 2 %, for one worker and for several', async () => {
    for (const workers of [1, 3]) {
      for (const { seconds, ...totals } of (await final(workers)).epochs) {
        expect(Math.abs(sumOfParts(totals) / seconds - 1)).toBeLessThan(0.02);
        const three = totals.computeSeconds + totals.communicationSeconds + totals.otherSeconds;
        expect(Math.abs(three / seconds - 1)).toBeLessThan(0.02);
        expect(partsOf(totals)).toHaveLength(7);
        expect(partsOf(totals).every((part) => part >= 0)).toBe(true);
      }
    }
  });

  test('gives a worker that computes slowly its compute, the others their wait, and names it', async () => {
    const { epochs } = await runCluster({
      config: runConfig({ workers: 2, epochs: 1, shares: 'equal' }),
      createEngine: async (options, index) => {
        const engine = await createReferenceEngine(options);
        if (index === 0) return engine;
        const busyFor = (ms: number) => {
          for (const endMs = performance.now() + ms; performance.now() < endMs;);
        };
        return {
          ...engine,
          async computeGradient(batch, into) {
            busyFor(20);
            return engine.computeGradient(batch, into);
          },
        };
      },
    });
    const [record] = epochs;
    expect(record!.slowestWorker).toBe('worker-1');
    expect(record!.slowestDelaySeconds).toBeGreaterThan(0);
    expect(record!.slowestDelaySeconds).toBeLessThanOrEqual(record!.waitPartSeconds);
    expect(record!.workers[1]!.workerComputeSeconds).toBeGreaterThan(5 * 2 * 0.02);
    expect(record!.workers[0]!.workerWaitSeconds).toBeGreaterThan(record!.workers[1]!.workerWaitSeconds);
  });

  test('a worker that is half as fast gets half the work, and the bits are the same', async () => {
    const config = runConfig({ workers: 2, microbatches: 6, epochs: 4 });
    const { replica, epochs } = await runCluster({
      config,
      createEngine: async (options, index) => {
        const engine = await createReferenceEngine(options);
        return {
          ...engine,
          async computeGradient(batch, into) {
            await new Promise((resolve) => setTimeout(resolve, index === 0 ? 8 : 24));
            return engine.computeGradient(batch, into);
          },
        };
      },
    });
    const [fast, slow] = epochs.at(-1)!.workers;
    expect(fast!.workerSamples).toBeGreaterThan(1.5 * slow!.workerSamples);
    expect(slow!.workerSamples).toBeGreaterThan(0);
    const equal = await runCluster({ config: { ...config, shares: 'equal' } });
    expect(equal.epochs.at(-1)!.workers.map(({ workerSamples }) => workerSamples)).toEqual([75, 75]);
    expect(replica.parametersSha256()).toBe(equal.replica.parametersSha256());
  });

  test('shares are equal where the bits depend on who computes what, unless they are asked to follow the speed', async () => {
    const samplesOf = async (shares: 'auto' | 'speed') => {
      const { epochs } = await runCluster({
        config: runConfig({ workers: 2, microbatches: 6, epochs: 4, wire: 'bf16', shares }),
        createEngine: async (options, index) => {
          const engine = await createReferenceEngine(options);
          return {
            ...engine,
            async computeGradient(batch, into) {
              await new Promise((resolve) => setTimeout(resolve, index === 0 ? 1 : 16));
              return engine.computeGradient(batch, into);
            },
          };
        },
      });
      return epochs.at(-1)!.workers.map(({ workerSamples }) => workerSamples);
    };
    expect(await samplesOf('auto')).toEqual([75, 75]);
    const [fast, slow] = await samplesOf('speed');
    expect(fast).toBeGreaterThan(slow!);
  });
});

describe('a worker that fails is lost, and the run ends with the same bits; without another one it ends with its name:', () => {
  /** The transport with what the worker sends changed. */
  const sending = (transport: Transport, change: (message: Message) => Message | undefined): Transport => ({
    ...transport,
    send(message) {
      const changed = change(message);
      if (changed) transport.send(changed);
    },
  });
  const failing = (change: (message: Message) => Message | undefined, workers: number, said: string[] = []) =>
    runCluster({
      config: runConfig({ workers, stepTimeoutSeconds: 1 }),
      say: (line) => said.push(line),
      tamper: (transport, index) => (index === workers - 1 ? sending(transport, change) : transport),
    });

  test.each<[string, string, (message: Message) => Message | undefined]>([
    [
      'a gradient of the wrong length',
      'ERR_SHAPE_MISMATCH',
      (m) => (m.kind === 'gradient' ? { ...m, payload: m.payload.slice(1) } : m),
    ],
    ['a gradient of another step', 'ERR_STALE_RESULT', (m) => (m.kind === 'gradient' ? { ...m, step: m.step + 1 } : m)],
    [
      'microbatches that are not its own',
      'ERR_UNEXPECTED_MESSAGE',
      (m) => (m.kind === 'gradient' ? { ...m, firstMicrobatch: 3 } : m),
    ],
    [
      'counts that do not add up',
      'ERR_SHAPE_MISMATCH',
      (m) => (m.kind === 'gradient' ? { ...m, microbatches: m.microbatches.map((s) => ({ ...s, numSamples: 1 })) } : m),
    ],
    [
      'an evaluation instead of a gradient',
      'ERR_UNEXPECTED_MESSAGE',
      (m) => (m.kind === 'gradient' ? { ...SAMPLE_MESSAGES.evaluation, epoch: 1 } : m),
    ],
    ['nothing within the deadline', 'ERR_TIMEOUT', (m) => (m.kind === 'gradient' ? undefined : m)],
    [
      'another hash',
      'ERR_STATE_MISMATCH',
      (m) => (m.kind === 'applied' && m.step > 0 ? { ...m, parametersSha256: '0'.repeat(64) } : m),
    ],
    [
      'chunks that are missing',
      'ERR_SHAPE_MISMATCH',
      (m) => (m.kind === 'evaluation' ? { ...m, chunks: m.chunks.slice(1).concat(m.chunks, m.chunks) } : m),
    ],
    [
      'no predictions, where they were asked for',
      'ERR_SHAPE_MISMATCH',
      (m) => (m.kind === 'evaluation' ? { ...m, payload: new Float32Array(0) } : m),
    ],
    [
      'a prediction of class 10, of 10',
      'ERR_SHAPE_MISMATCH',
      (m) => (m.kind === 'evaluation' ? { ...m, payload: m.payload.with(1, 10) } : m),
    ],
  ])('%s', async (_what, code, change) => {
    const said: string[] = [];
    const outcome = await failing(change, 2, said);
    expect(said).toEqual([expect.stringMatching(/^lost worker worker-1 \(w2\)/)]);
    expect(outcome.sessions[1]).toMatchObject({ status: 'rejected', reason: { code } });
    const undisturbed = await final(1);
    expect(outcome.replica.parametersSha256()).toBe(undisturbed.replica.parametersSha256());
    expect(outcome.confusions).toEqual(undisturbed.confusions);
    await expect(failing(change, 1)).rejects.toMatchObject({
      code,
      worker: 'worker-0',
      message: expect.stringContaining('worker worker-0 (w1)'),
    });
  });

  test('an engine that throws', async () => {
    const run = runCluster({
      config: runConfig({ workers: 1 }),
      createEngine: async (options) => {
        const engine = await createReferenceEngine(options);
        return { ...engine, computeGradient: () => Promise.reject(new Error('device lost')) };
      },
    });
    await expect(run).rejects.toMatchObject({
      code: 'ERR_ENGINE',
      worker: 'worker-0',
      message: expect.stringContaining('device lost'),
    });
  });

  test.each(['gradient', 'loss'])('a %s that is no number is never applied', async (what) => {
    let before: Float32Array | undefined;
    const run = runCluster({
      config: runConfig({ workers: 2 }),
      createEngine: async (options, index) => {
        const engine = await createReferenceEngine(options);
        if (index === 0) before ??= options.parameters;
        return {
          ...engine,
          async computeGradient(batch, into) {
            const result = await engine.computeGradient(batch, into);
            if (what === 'loss') return { ...result, lossSum: NaN };
            into.gradient[5] = NaN;
            return result;
          },
        };
      },
    });
    await expect(run).rejects.toMatchObject({
      code: 'ERR_NOT_FINITE',
      step: 1,
      message: expect.stringContaining('smaller --learning-rate'),
    });
    expect(before!.every((value) => Number.isFinite(value))).toBe(true);
  });
});
