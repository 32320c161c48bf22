import { describe, expect, test } from 'vitest';
import type { RunConfig } from '../../../../coordinator/run-config.ts';
import type { Dataset, SampleSet } from '../../../../protocol/data/dataset.ts';
import { planModel } from '../../../../protocol/state/model-spec.ts';
import type { OptimizerConfig } from '../../../../protocol/vectors/optimizer.ts';
import type { Message } from '../../../../protocol/wire/messages.ts';
import type { EngineOptions } from '../../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';
import { countGradientBytes, madeUpDataset, runCluster, runConfig, TINY_MODEL } from '../../../helpers/cluster.ts';
import { createPlainState, plainEpoch, plainSum } from '../../../helpers/plain-training.ts';

/**
 * The definition: in each round every microbatch takes its steps from the common state, and the mean of the changes is
 * added to it. Returns the state at the end of each epoch, and the epoch's loss.
 */
async function plainLocalSteps(config: RunConfig, dataset: Dataset<SampleSet>) {
  const plain = await createPlainState(config, dataset);
  const epochs = [];
  let step = 0;
  for (let epoch = 1; epoch <= config.epochs; epoch++) {
    const batches = plainEpoch(config, dataset, epoch);
    let [lossSum, numSamples] = [0, 0];
    for (let first = 0; first < batches.length; first += config.localSteps) {
      const round = batches.slice(first, first + config.localSteps);
      const common = plain.state.slice();
      const changes = [];
      for (let m = 0; m < round[0]!.length; m++) {
        plain.state.set(common);
        for (const [j, microbatches] of round.entries()) {
          const indices = microbatches[m];
          if (!indices) continue;
          const { gradient, statistics, ...counts } = await plain.gradientOf(indices);
          const mean = gradient.map((value) => value / indices.length);
          plain.update(mean, statistics, step + j + 1, epoch);
          lossSum += counts.lossSum;
          numSamples += counts.numSamples;
        }
        changes.push(plain.state.map((value, i) => value - common[i]!));
      }
      const sum = plainSum(changes);
      plain.state.set(common.map((value, i) => value + Math.fround(sum[i]! / config.microbatches)));
      step += round.length;
    }
    const { evaluation: test } = dataset;
    const { lossSum: testLossSum } = await plain.engine.evaluate(test);
    epochs.push({ loss: lossSum / numSamples, samples: numSamples, testLoss: testLossSum / test.numSamples });
  }
  return { state: plain.state, epochs, steps: step };
}

const plan = planModel(TINY_MODEL);
const momentum = runConfig().optimizer;
const cases: [string, Partial<RunConfig>, number][] = [
  ['momentum, and rounds of 3 and of 2 steps, the last one short', { localSteps: 3 }, 150],
  ['adam', { localSteps: 2, optimizer: { ...momentum, name: 'adam' } }, 150],
  [
    'adamw with decay, one round an epoch',
    { localSteps: 9, optimizer: { ...momentum, name: 'adamw', weightDecay: 0.1 } },
    150,
  ],
  ['plain descent', { localSteps: 4, optimizer: { ...momentum, momentum: 0 } }, 128],
  ['each step clipped', { localSteps: 3, optimizer: { ...momentum, clipNorm: 0.3 } }, 150],
  ['3 microbatches', { localSteps: 4, microbatches: 3 }, 150],
  ['a last batch of one sample at the end of a round', { localSteps: 4 }, 33],
  ['a last round of one sample', { localSteps: 2 }, 65],
  ['a last round of three samples', { localSteps: 2 }, 67],
];

describe('--local-steps', () => {
  test.each(cases)('is what its definition says, bit for bit, on 1, 2 and 3 workers: %s', async (_what, changes, n) => {
    const dataset = madeUpDataset(n, 250);
    const expected = await plainLocalSteps(runConfig(changes), dataset);
    const runs = await Promise.all([
      ...[1, 2, 3].map((workers) => runCluster({ config: runConfig({ ...changes, workers }), dataset })),
      runCluster({ config: runConfig(changes), dataset, shareReplica: true }),
    ]);
    for (const { replica, epochs, status } of runs) {
      expect(replica.state).toEqual(expected.state);
      expect([status, replica.step]).toEqual(['completed', expected.steps]);
      expect(epochs.map(({ samples }) => samples)).toEqual(expected.epochs.map(({ samples }) => samples));
      for (const [i, { loss, testLoss, steps }] of epochs.entries()) {
        expect(loss).toBeCloseTo(expected.epochs[i]!.loss, 10);
        expect(testLoss).toBeCloseTo(expected.epochs[i]!.testLoss, 10);
        expect(steps).toBe(expected.steps / 2);
      }
    }
    expect(new Set(runs.map(({ epochs }) => JSON.stringify(epochs.map((e) => [e.loss, e.trainAccuracy])))).size).toBe(
      1,
    );
  });

  test.each(['f32', 'bf16', 'f16', 'int8'] as const)('learns with %s on the wire, all replicas equal', async (wire) => {
    const workspaces: EngineOptions[] = [];
    const { replica, epochs, status } = await runCluster({
      config: runConfig({ workers: 2, epochs: 8, localSteps: 3, wire }),
      createEngine: (options) => {
        workspaces.push(options);
        return createReferenceEngine(options);
      },
    });
    expect(status).toBe('completed');
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss / 1.5);
    // A workspace was last set to its worker's replica, for the evaluation.
    for (const { parameters, buffers } of workspaces) {
      expect(parameters).toEqual(replica.parameters);
      expect(buffers).toEqual(replica.buffers);
    }
  });

  test('learns with adam and bf16 on the wire', async () => {
    const config = runConfig({ workers: 3, epochs: 8, localSteps: 3, wire: 'bf16' });
    const { epochs } = await runCluster({ config: { ...config, optimizer: { ...momentum, name: 'adam' } } });
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss / 1.5);
  });

  test('of 1 changes nothing, on the wire neither', async () => {
    const received: Message[] = [];
    const { replica } = await runCluster({
      config: runConfig({ localSteps: 1 }),
      tamper: (transport) => ({
        ...transport,
        async receive(timeoutMs, awaited) {
          const message = await transport.receive(timeoutMs, awaited);
          received.push(message);
          return message;
        },
      }),
    });
    expect(replica.step).toBe(10);
    for (const message of received) {
      expect(message).not.toHaveProperty('localSteps');
      expect(message).not.toHaveProperty('numSteps');
      expect(message).not.toHaveProperty('assignment.localRates');
      expect(message).not.toHaveProperty('next.localRates');
    }
  });

  test('sends one state a round instead of one gradient a step', async () => {
    const payloadBytes = async (localSteps: number, optimizer: Partial<OptimizerConfig>) => {
      const config = runConfig({ workers: 2, localSteps, epochs: 1, optimizer: { ...momentum, ...optimizer } });
      const sent = countGradientBytes();
      await runCluster({ config, dataset: madeUpDataset(8 * 32), tamper: sent.tamper });
      return sent.bytes();
    };
    const everyStep = await payloadBytes(1, {});
    expect(everyStep).toBe(2 * 8 * 4 * (plan.numParameters + plan.numBuffers));
    expect(await payloadBytes(8, { momentum: 0 })).toBe(everyStep / 8);
    // The velocity travels too, and with adam two moments.
    expect(await payloadBytes(8, {})).toBe(2 * 4 * (2 * plan.numParameters + plan.numBuffers));
    expect(await payloadBytes(8, { name: 'adam' })).toBe(2 * 4 * (3 * plan.numParameters + plan.numBuffers));
  });

  test('a round ends with --max-steps', async () => {
    const config = runConfig({ workers: 2, localSteps: 4, maxSteps: 7 });
    const { replica, epochs, status } = await runCluster({ config });
    expect([replica.step, status]).toEqual([7, 'completed']);
    expect(epochs.map(({ steps }) => steps)).toEqual([5, 2]);
  });

  test('is interrupted after the round at hand, with replicas proven equal', async () => {
    const controller = new AbortController();
    const outcome = await runCluster({
      config: runConfig({ workers: 2, localSteps: 2 }),
      signal: controller.signal,
      onProgress: ({ stepInEpoch }) => {
        if (stepInEpoch === 2) controller.abort();
      },
    });
    expect(outcome.status).toBe('interrupted');
    expect(outcome.replica.step).toBe(4);
    expect(outcome.sessions.every(({ status }) => status === 'fulfilled')).toBe(true);
  });

  test('a local gradient that is no number is never applied', async () => {
    let numGradients = 0;
    const run = runCluster({
      config: runConfig({ workers: 2, localSteps: 3 }),
      createEngine: async (options) => {
        const engine = await createReferenceEngine(options);
        return {
          ...engine,
          async computeGradient(batch, into) {
            const result = await engine.computeGradient(batch, into);
            // In the first round, and when it is computed once more.
            if (++numGradients >= 5) into.gradient[3] = Infinity;
            return result;
          },
        };
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_NOT_FINITE', step: 1 });
  });

  test('a round without rates is refused by the worker', async () => {
    const run = runCluster({
      config: runConfig({ workers: 1, localSteps: 3 }),
      tamper: (transport) => ({
        ...transport,
        async receive(timeoutMs, awaited) {
          const message = await transport.receive(timeoutMs, awaited);
          if (message.kind !== 'step') return message;
          const { localRates, ...assignment } = message.assignment;
          expect(localRates).toHaveLength(3);
          return { ...message, assignment };
        },
      }),
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH', worker: 'worker-0' });
  });
});
