import { describe, expect, test } from 'vitest';
import type { RunConfig } from '../../../../coordinator/run-config.ts';
import { planModel } from '../../../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../../../protocol/state/model-spec.ts';
import { countGradientBytes, madeUpDataset, runCluster, runConfig, TINY_MODEL } from '../../../helpers/cluster.ts';
import { createPlainState, plainEpoch, plainSum } from '../../../helpers/plain-training.ts';

const withoutBatchNorm: ModelSpec = {
  ...TINY_MODEL,
  layers: TINY_MODEL.layers.filter(({ kind }) => kind !== 'batchNorm'),
};

/**
 * The definition: gradients of `accumulate` global batches one by one at fixed parameters, averaged by samples, one step.
 */
async function plainAccumulation(config: RunConfig, dataset: ReturnType<typeof madeUpDataset>) {
  const plain = await createPlainState(config, dataset);
  let step = 0;
  for (let epoch = 1; epoch <= config.epochs; epoch++) {
    const batches = plainEpoch(config, dataset, epoch);
    for (let first = 0; first < batches.length; first += config.accumulate) {
      const sums = [];
      let numSamples = 0;
      for (const microbatches of batches.slice(first, first + config.accumulate)) {
        const ofBatch = [];
        for (const indices of microbatches) {
          const { gradient, statistics } = await plain.gradientOf(indices);
          ofBatch.push(Float32Array.from([...gradient, ...statistics.map((value) => value * indices.length)]));
          numSamples += indices.length;
        }
        sums.push(plainSum(ofBatch));
      }
      const mean = plainSum(sums).map((value) => value / numSamples);
      const { numParameters } = plain.plan;
      plain.update(mean.subarray(0, numParameters), mean.subarray(numParameters), ++step, epoch);
    }
  }
  return plain.state;
}

function expectClose(state: Float32Array, expected: Float32Array): void {
  expect(state.length).toBe(expected.length);
  for (let i = 0; i < state.length; i++) expect(state[i]).toBeCloseTo(expected[i]!, 5);
}

describe('--accumulate', () => {
  test.each([1, 2, 3])(
    'is the average of batches one by one, bit for bit in the same tree, on %i workers',
    async (n) => {
      const dataset = madeUpDataset(128);
      const config = runConfig({ workers: n, globalBatch: 16, microbatches: 2, accumulate: 4 });
      const { replica, epochs } = await runCluster({ config, dataset });
      expect(epochs.map(({ samples, steps }) => [samples, steps])).toEqual([
        [128, 2],
        [128, 2],
      ]);
      expect(replica.state).toEqual(await plainAccumulation(config, dataset));
    },
  );

  test.each([1, 2, 3])('differs by rounding where the tree is another one, on %i workers', async (workers) => {
    const dataset = madeUpDataset(144);
    const config = runConfig({ workers, globalBatch: 16, microbatches: 3, accumulate: 3 });
    const { replica } = await runCluster({ config, dataset });
    expectClose(replica.state, await plainAccumulation(config, dataset));
  });

  test('counts every sample of a ragged end once', async () => {
    // 150 = 3 x 48 + 6: the last update has a third of one batch. How it is cut matters to batch norms alone.
    const config = runConfig({ workers: 3, model: withoutBatchNorm, globalBatch: 16, accumulate: 3 });
    const dataset = madeUpDataset(150);
    const { replica, epochs } = await runCluster({ config, dataset });
    expect(epochs.map(({ samples, steps }) => [samples, steps])).toEqual([
      [150, 4],
      [150, 4],
    ]);
    expectClose(replica.state, await plainAccumulation(config, dataset));
  });

  test('of 4 batches of 64 in 2 microbatches is a batch of 256 in 8, bit for bit, the ragged end included', async () => {
    const dataset = madeUpDataset(600, 10);
    const run = async (changes: Partial<RunConfig>) => {
      const { tamper, bytes } = countGradientBytes();
      const outcome = await runCluster({ config: runConfig({ workers: 2, ...changes }), dataset, tamper });
      return { ...outcome, gradientBytes: bytes() };
    };
    const accumulated = await run({ globalBatch: 64, microbatches: 2, accumulate: 4 });
    const whole = await run({ globalBatch: 256, microbatches: 8 });
    expect(accumulated.replica.state).toEqual(whole.replica.state);
    expect(accumulated.epochs.map(({ loss }) => loss)).toEqual(whole.epochs.map(({ loss }) => loss));
    // One vector a worker and update: two workers, two epochs, three updates.
    const { numParameters, numBuffers } = planModel(TINY_MODEL);
    expect(accumulated.gradientBytes).toBe(2 * 2 * 3 * 4 * (numParameters + numBuffers));
    expect(whole.gradientBytes).toBe(accumulated.gradientBytes);
  });
});
