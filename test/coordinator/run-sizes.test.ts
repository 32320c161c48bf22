import { describe, expect, test } from 'vitest';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { checkRunSizes } from '../../coordinator/run-sizes.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { LayerSpec } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { allocateState, createReplica, stateLength } from '../../protocol/state/replica.ts';
import { largestMicrobatch } from '../../protocol/data/sharding.ts';
import { runConfig, TINY_MODEL } from '../helpers/cluster.ts';

const LAST: LayerSpec = { kind: 'dense', units: 10, activation: 'none' };
const dense = (units: number): LayerSpec => ({ kind: 'dense', units, activation: 'none' });

function check(layers: LayerSpec[], changes: Partial<RunConfig> = {}): void {
  const model = { name: 'large', input: [1, 28, 28] as [number, number, number], numClasses: 10, layers };
  const config = runConfig({ model, microbatches: 1, ...changes });
  checkRunSizes(config, planModel(model), 60_000);
}

describe('a run is refused, with the number and the limit, when', () => {
  test('one message could not carry its state', () => {
    const layers: LayerSpec[] = [{ kind: 'flatten' }, dense(200_000), LAST];
    const { optimizer } = runConfig();
    check(layers, { optimizer: { ...optimizer, momentum: 0 } });
    expect(() => check(layers, { optimizer: { ...optimizer, name: 'adamw' } })).toThrow(
      'model large: 159000010 parameters with --optimizer adamw have a state of 1908000120 bytes, expected at most ' +
        '1073741824, which one message can carry: make the model smaller, take an optimizer with less state',
    );
    expect(() => check(layers, { optimizer: { ...optimizer, momentum: 0, emaDecay: 0.9, emaEvery: 1 } })).toThrow(
      '1272000080 bytes, expected at most 1073741824, which one message can carry: make the model smaller, take an ' +
        'optimizer with less state, or leave out --ema-decay',
    );
  });

  test("a layer's outputs could not be counted", () => {
    const layers: LayerSpec[] = [
      { kind: 'conv', filters: 100_000, kernel: 1, activation: 'relu' },
      { kind: 'maxPool', size: 28 },
      { kind: 'flatten' },
      LAST,
    ];
    expect(() => check(layers)).toThrow(
      'model large: layer 1 (conv) gives [100000, 28, 28] for each of 256 samples, 20070400000 values, expected at ' +
        'most 2147483647: make it smaller',
    );
  });

  test('the layer is named by its place in the model, also after a residual block and within one', () => {
    const conv = (filters: number) => ({ kind: 'conv', filters, kernel: 1, activation: 'none' }) as const;
    const block = (filters: number): LayerSpec => ({
      kind: 'residual',
      layers: [{ kind: 'dropout', rate: 0 }, conv(filters), conv(1)],
      activation: 'relu',
    });
    const end: LayerSpec[] = [{ kind: 'globalAveragePool' }, LAST];
    expect(() => check([block(8), block(100_000), ...end])).toThrow('layer 2.2 (conv) gives [100000, 28, 28]');
    expect(() => check([block(8), conv(100_000), ...end])).toThrow('layer 2 (conv) gives [100000, 28, 28]');
  });

  test('a microbatch is too large for a layer: more of them help', () => {
    const layers: LayerSpec[] = [
      { kind: 'conv', filters: 100, kernel: 1, activation: 'relu' },
      { kind: 'flatten' },
      LAST,
    ];
    const globalBatch = 60_000;
    expect(() => check(layers, { globalBatch, microbatches: 2 })).toThrow(
      'gives [100, 28, 28] for each of 30000 samples, 2352000000 values, expected at most 2147483647: use more --microbatches',
    );
    check(layers, { globalBatch, microbatches: 3 });
  });

  test('its steps could not be counted', () => {
    const epochs = Number.MAX_SAFE_INTEGER;
    expect(() => check([{ kind: 'flatten' }, LAST], { epochs })).toThrow(`--epochs ${epochs}: `);
    check([{ kind: 'flatten' }, LAST], { epochs, maxSteps: 10 });
  });

  test('there is no memory for its state', () => {
    expect(() => allocateState(planModel(TINY_MODEL), 2 ** 50)).toThrow(ConfigError);
    expect(() => allocateState(planModel(TINY_MODEL), 2 ** 50)).toThrow(
      /^model tiny: its state has 1125899906842624 values, expected memory for 4503599627370496 bytes, got none \(.+\): make/,
    );
  });
});

test.each(Object.values(MODELS))('the model $name fits', (model) => {
  checkRunSizes(runConfig({ model, optimizer: { ...runConfig().optimizer, name: 'adamw' } }), planModel(model), 60_000);
});

test.each(['sgd', 'adam', 'adamw'] as const)('the length of a state is known before it is made (%s)', (name) => {
  const plan = planModel(TINY_MODEL);
  for (const averages of [{}, { emaDecay: 0.9, emaEvery: 1 }]) {
    const optimizer = { ...runConfig().optimizer, name, ...averages };
    expect(stateLength(plan, optimizer)).toBe(createReplica(plan, optimizer, 1).state.length);
  }
});

test.each([
  [{ globalBatch: 256, numMicrobatches: 2, numTrainSamples: 60_000 }, 128],
  [{ globalBatch: 256, numMicrobatches: 3, numTrainSamples: 60_000 }, 86],
  [{ globalBatch: 2 ** 53 - 1, numMicrobatches: 4, numTrainSamples: 512 }, 128],
  [{ globalBatch: 64, numMicrobatches: 64, numTrainSamples: 10 }, 1],
])('the largest microbatch of %j has %i samples: no more than there are', (run, expected) => {
  expect(largestMicrobatch(run)).toBe(expected);
});
