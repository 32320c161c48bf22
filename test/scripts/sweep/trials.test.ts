import { describe, expect, test } from 'vitest';
import { argumentsOf } from '../../../scripts/sweep/flags.ts';
import { parseSweepSpec } from '../../../scripts/sweep/spec.ts';
import { combinations, draws, planSweep } from '../../../scripts/sweep/trials.ts';

const plan = (content: object) => planSweep('FILE', parseSweepSpec('FILE', { objective: 'testAccuracy', ...content }));
const grid = { 'learning-rate': [0.01, 0.03] };

describe('a grid', () => {
  test('is all combinations, the last flag changing first', () => {
    expect(combinations({ momentum: [0, 0.9], optimizer: ['sgd', 'adam', 'adamw'] })).toEqual(
      [0, 0.9].flatMap((momentum) => ['sgd', 'adam', 'adamw'].map((optimizer) => ({ momentum, optimizer }))),
    );
  });

  test('has each setting with each seed, numbered in order, with the fixed flags', () => {
    const { trials, variedNames, logNames } = plan({ flags: { model: 'dense', epochs: 3 }, grid, seeds: [5, 7] });
    expect(trials.map(({ number, setting, seed, varied }) => [number, setting, seed, varied['learningRate']])).toEqual([
      [1, 1, 5, 0.01],
      [2, 1, 7, 0.01],
      [3, 2, 5, 0.03],
      [4, 2, 7, 0.03],
    ]);
    expect(trials[3]).toMatchObject({ epochs: 3, flags: { model: 'dense', epochs: 3, learningRate: 0.03, seed: 7 } });
    expect(variedNames).toEqual(['learningRate']);
    expect(logNames).toEqual([]);
    expect(plan({ grid: { learningRate: [0.01, 0.1] } }).logNames).toEqual(['learningRate']);
  });
});

describe('random settings', () => {
  const space = {
    rate: { log: [0.001, 0.1] },
    decay: { linear: [0, 0.1] },
    batch: { choice: [64, 128, 256] },
  } satisfies Parameters<typeof draws>[0];

  test('depend on the seed alone; more of them begin with the same', () => {
    expect(draws(space, 40, 1)).toEqual(draws(space, 40, 1));
    expect(draws(space, 40, 1).slice(0, 10)).toEqual(draws(space, 10, 1));
    expect(draws(space, 40, 2)).not.toEqual(draws(space, 40, 1));
  });

  test('are spread over the space from the first on, whatever the seed', () => {
    const of = (settings: ReturnType<typeof draws>, name: string) => settings.map((setting) => Number(setting[name]));
    for (const settings of [
      draws(space, 400, 1),
      Array.from({ length: 400 }, (_, seed) => draws(space, 1, seed)[0]!),
    ]) {
      const rates = of(settings, 'rate');
      expect(Math.min(...rates)).toBeGreaterThanOrEqual(0.001);
      expect(Math.max(...rates)).toBeLessThanOrEqual(0.1);
      const isLow = (value: number) => value < 0.01;
      expect(rates.filter(isLow).length / 400).toBeCloseTo(0.5, 0.9);
      const decays = of(settings, 'decay');
      expect(decays.filter((value) => value < 0.05).length / 400).toBeCloseTo(0.5, 0.9);
      for (const size of [64, 128, 256]) {
        expect(of(settings, 'batch').filter((value) => value === size).length / 400).toBeCloseTo(1 / 3, 0.9);
      }
    }
  });

  test('are shown on the scale that they were drawn on', () => {
    const random = { trials: 2, space: { 'learning-rate': space.rate, weightDecay: space.decay } };
    expect(plan({ random })).toMatchObject({
      variedNames: ['learningRate', 'weightDecay'],
      logNames: ['learningRate'],
    });
  });
});

describe('before anything runs', () => {
  test.each([
    [
      { grid: { 'learning-rat': [1] } },
      'FILE: grid.learning-rat: expected a flag of `gradsock baseline`, got "learning-rat"',
    ],
    [
      { grid, flags: { runDir: 'x' } },
      'FILE: flags.runDir: cannot be given, the sweep gives each run its own directory',
    ],
    [{ grid, flags: { learningRate: 1 } }, 'FILE: learning-rate is both fixed in flags and varied: leave one out'],
    [{ grid: { ...grid, learningRate: [1] } }, 'FILE: grid.learningRate: the same flag is there by its other name'],
    [{ grid, flags: { seed: 1 }, seeds: [1] }, 'FILE: seed is given twice'],
    [
      { grid: { momentum: [0.9, 1] } },
      "FILE: trial 2: option '--momentum <x>' argument '1' is invalid. Expected a number from 0",
    ],
    [
      { grid: { optimizer: ['sgd', 'adamax'] } },
      "FILE: trial 2: option '--optimizer <name>' argument 'adamax' is invalid.",
    ],
    [{ grid, flags: { model: 'danse' } }, 'FILE: trial 1: --model danse: expected dense, conv'],
    [{ grid: { momentum: [0.9, 0] }, flags: { nesterov: true } }, 'FILE: trial 2: --nesterov needs --momentum above 0'],
    [{ grid: { microbatches: [1, 512] } }, 'FILE: trial 2: --global-batch 256 cannot feed 512 microbatches'],
    [{ grid, flags: { nesterov: 1 } }, 'FILE: trial 1: --nesterov: expected true or false, got 1'],
    [{ grid, flags: { epochs: true } }, 'FILE: trial 1: --epochs: expected a value, got true'],
    [
      { random: { trials: 1e15, space: { 'learning-rate': { log: [0.001, 0.1] } } } },
      'FILE: 1000000000000000 trials, expected at most 10000: vary fewer values or seeds',
    ],
    [{ grid, objective: undefined }, 'FILE: expected flags.validation, the number of training samples to hold back'],
  ])('%j is refused', (content, message) => {
    expect(() => plan(content)).toThrow(message);
  });

  test('environment variables do not count', () => {
    process.env['GRADSOCK_MOMENTUM'] = 'much';
    try {
      expect(plan({ grid }).trials).toHaveLength(2);
    } finally {
      delete process.env['GRADSOCK_MOMENTUM'];
    }
  });
});

test('flags become arguments: switches that are on without a value, those that are off not at all', () => {
  expect(argumentsOf({ learningRate: 1e-8, model: 'dense', nesterov: true, seed: -3 })).toEqual([
    '--learning-rate=1e-8',
    '--model=dense',
    '--nesterov',
    '--seed=-3',
  ]);
  expect(argumentsOf({ nesterov: false })).toEqual([]);
});
