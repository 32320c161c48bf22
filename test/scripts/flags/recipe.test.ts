import { workforceOf } from '../../../scripts/flags/worker-counts.ts';
import { FASHION_MNIST_DATA } from '../../../scripts/flags/load-model.ts';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runConfigSchema } from '../../../coordinator/run-config.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { MODEL_NAMES, MODELS } from '../../../protocol/state/models.ts';
import { addRunFlags, runConfigOf } from '../../../scripts/flags/run-flags.ts';
import type { RunFlags } from '../../../scripts/flags/run-flags.ts';
import { DEFAULT_RECIPE, RECIPE_SOURCE, recipeOf, withRecipe } from '../../../scripts/flags/recipe.ts';
import { withResume } from '../../../scripts/flags/resume.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A command line, parsed, before recipes. */
function parsed(...args: string[]) {
  const command = addRunFlags(new Command('baseline').exitOverride().configureOutput({ writeErr: () => {} }));
  return { command, given: command.parse(args, { from: 'user' }).opts<RunFlags>() };
}

function flagsOf(...args: string[]): RunFlags {
  const { command, given } = parsed(...args);
  return withRecipe(given, command);
}

const configOf = (...args: string[]) =>
  runConfigOf(flagsOf(...args), {
    workforce: workforceOf({ workers: 1 }),
    joinTimeoutSeconds: 60,
    data: FASHION_MNIST_DATA,
  });

describe('a recipe', () => {
  test.each(['homework', 'best'] as const)('%s makes a sound configuration of every named model', (name) => {
    for (const model of MODEL_NAMES) {
      const flags = flagsOf('--recipe', name, '--model', model);
      expect(flags).toMatchObject(recipeOf(name, model));
      const config = runConfigOf(flags, {
        workforce: workforceOf({ workers: 1 }),
        joinTimeoutSeconds: 60,
        data: FASHION_MNIST_DATA,
      });
      expect(runConfigSchema.parse(config)).toEqual(config);
    }
  });

  test('sets what neither the command line nor the environment gives', () => {
    vi.stubEnv('GRADSOCK_WARMUP_STEPS', '7');
    const best = recipeOf('best', 'dense');
    // The value of the default is a value that was given, too.
    const given = [
      '--weight-decay',
      String(DEFAULT_RECIPE.weightDecay),
      '--ema-decay',
      '0.5',
      '--flip-probability',
      '0.9',
    ];
    const { command, given: before } = parsed('--recipe', 'best', '--model', 'dense', ...given);
    const flags = withRecipe(before, command);
    expect(flags).toMatchObject({ ...best, warmupSteps: 7, weightDecay: 0, emaDecay: 0.5, flipProbability: 0.9 });
    expect(command.getOptionValueSource('learningRate')).toBe(RECIPE_SOURCE);
    expect(command.getOptionValueSource('weightDecay')).toBe('cli');
    expect(command.getOptionValueSource('warmupSteps')).toBe('env');
    expect(flags.seed).toBe(1);
  });

  test('may be given by the environment', () => {
    vi.stubEnv('GRADSOCK_RECIPE', 'best');
    expect(flagsOf('--model', 'conv')).toMatchObject(recipeOf('best', 'conv'));
  });

  test('that is not given leaves the defaults, which are the homework', () => {
    const { command, given } = parsed();
    expect(withRecipe(given, command)).toBe(given);
    expect(given).toMatchObject(DEFAULT_RECIPE);
    expect(given).not.toHaveProperty('emaDecay');
    expect(flagsOf('--recipe', 'homework')).toEqual(given);
  });

  test.each(['model.json', 'constructor', 'toString', 'nothing'])('best for %s is refused with the cure', (model) => {
    const refused = () => flagsOf('--recipe', 'best', '--model', model);
    expect(refused).toThrow(ConfigError);
    expect(refused).toThrow(
      `--recipe best: expected --model dense, conv, conv-matched, conv-pool, conv-pool-matched, got ${model}: ` +
        'give the values themselves by flags',
    );
    expect(flagsOf('--recipe', 'homework', '--model', model).model).toBe(model);
  });

  test('of another name is refused', () => {
    expect(() => parsed('--recipe', 'worst')).toThrow('Allowed choices are homework, best.');
  });
});

describe('flags of improvements', () => {
  test('go into the configuration, which without them does not mention them', () => {
    const args = [
      '--label-smoothing',
      '0.1',
      '--erase-probability',
      '0.25',
      '--erase-pixels',
      '9',
      '--validation',
      '500',
    ];
    expect(configOf(...args, '--ema-decay', '0.99', '--ema-every', '4')).toMatchObject({
      labelSmoothing: 0.1,
      validationSamples: 500,
      augmentation: { flipProbability: 0, shiftProbability: 0, eraseProbability: 0.25, erasePixels: 9 },
      optimizer: { emaDecay: 0.99, emaEvery: 4 },
    });
    const plain = configOf('--ema-every', '4', '--shift-pixels', '3');
    for (const name of ['labelSmoothing', 'validationSamples', 'augmentation']) expect(plain).not.toHaveProperty(name);
    for (const name of ['emaDecay', 'emaEvery']) expect(plain.optimizer).not.toHaveProperty(name);
  });

  test.each([
    ['--label-smoothing', ['1', '-0.1', 'x', '']],
    ['--flip-probability', ['1.1', '-0.1', 'NaN']],
    ['--shift-pixels', ['0', '65536', '1.5']],
    ['--erase-pixels', ['0', '65536']],
    ['--ema-decay', ['0', '1', 'Infinity']],
    ['--ema-every', ['0', '2.5']],
    ['--validation', ['0', '-1', '1.5']],
  ])('%s is refused for %j', (name, values) => {
    for (const value of values) expect(() => parsed(name, value)).toThrow('Expected a');
  });

  test('a model that is called like a property of every object is none', () => {
    expect(() => configOf('--model', 'constructor')).toThrow('--model constructor: expected dense,');
  });
});

/** A folder that records a run of these flags, which was begun and has not ended. */
function recordedRun(...args: string[]): string {
  const runDir = join(temporaryFolder(), 'run');
  mkdirSync(runDir);
  writeFileSync(join(runDir, 'config.json'), JSON.stringify({ ...configOf(...args), runId: 'abc' }));
  return runDir;
}

describe('--resume', () => {
  const resumed = (...args: string[]) => {
    const { command, given } = parsed(...args);
    return withResume(given, command);
  };
  const best = ['--recipe', 'best', '--model', 'dense', '--validation', '5000'];

  test('without repeats takes all from the record', () => {
    const runDir = recordedRun(...best);
    expect(resumed('--resume', runDir).resumed!.config).toEqual(configOf(...best));
  });

  test('takes what was given again, also a recipe without its model', () => {
    const runDir = recordedRun(...best);
    expect(resumed('--resume', runDir, ...best).resumed!.path).toBe(runDir);
    expect(resumed('--resume', runDir, '--recipe', 'best').resumed!.path).toBe(runDir);
    // The recipe is that of the run's model, not of the default one.
    expect(() => resumed('--resume', recordedRun('--model', ownModel()), '--recipe', 'best')).toThrow('got my-own');
    const plain = recordedRun('--model', 'dense');
    expect(resumed('--resume', plain, '--recipe', 'homework').resumed!.path).toBe(plain);
  });

  test('with another recipe is refused, naming the flags', () => {
    const { optimizer, learningRate } = recipeOf('best', 'dense');
    const rates = [`--optimizer (given sgd, the run has ${optimizer})`, `--learning-rate (given 0.02, the run has `];
    for (const message of rates) {
      expect(() => resumed('--resume', recordedRun(...best), '--recipe', 'homework')).toThrow(message);
    }
    const plain = recordedRun('--model', 'dense');
    expect(() => resumed('--resume', plain, '--recipe', 'best')).toThrow(
      `--learning-rate (given ${learningRate}, the run has 0.02)`,
    );
  });

  test.each([
    [['--label-smoothing', '0.2'], '--label-smoothing (given 0.2, the run has 0.1)'],
    [['--flip-probability', '0'], '--flip-probability (given 0, the run has 0.5)'],
    [['--erase-probability', '0.5'], '--erase-probability (given 0.5, the run has 0)'],
    [['--shift-pixels', '2'], '--shift-pixels (given 2, the run has 1)'],
    [['--ema-decay', '0.5'], '--ema-decay (given 0.5, the run has 0.98)'],
    [['--ema-every', '3'], '--ema-every (given 3, the run has 8)'],
    [['--final-factor', '0.2'], '--final-factor (given 0.2, the run has 0)'],
    [['--validation', '6000'], '--validation (given 6000, the run has 5000)'],
  ])('with %j is refused by name', (args, message) => {
    const improved = ['--label-smoothing', '0.1', '--flip-probability', '0.5', '--ema-decay', '0.98'];
    const runDir = recordedRun(...improved, '--validation', '5000');
    expect(() => resumed('--resume', runDir, ...args)).toThrow(
      `${message} would change what the run computes: leave it out, or start another run`,
    );
  });

  test('of a run without them is refused with them, unless they have no effect', () => {
    const runDir = recordedRun('--model', 'dense');
    for (const [name, value] of [
      ['--ema-decay', '0.98'],
      ['--validation', '10'],
    ] as const) {
      expect(() => resumed('--resume', runDir, name, value)).toThrow(`${name} (given ${value}, the run has none)`);
    }
    expect(() => resumed('--resume', runDir, '--shift-probability', '0.3')).toThrow('(given 0.3, the run has 0)');
    expect(resumed('--resume', runDir, '--ema-every', '3', '--shift-pixels', '3').resumed!.path).toBe(runDir);
  });
});

/** The path of a model of one's own. */
function ownModel(): string {
  const path = join(temporaryFolder(), 'model.json');
  writeFileSync(path, JSON.stringify({ ...MODELS.dense, name: 'my-own' }));
  return path;
}
