import { workforceOf } from '../../../scripts/flags/worker-counts.ts';
import { FASHION_MNIST_DATA } from '../../../scripts/flags/load-model.ts';
import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { optimizerConfigSchema } from '../../../protocol/vectors/optimizer.ts';
import { addRunFlags, runConfigOf } from '../../../scripts/flags/run-flags.ts';
import type { RunFlags } from '../../../scripts/flags/run-flags.ts';

const flagsOf = (...args: string[]) => {
  const command = addRunFlags(new Command('train').exitOverride().configureOutput({ writeErr: () => {} }));
  return command.parse(args, { from: 'user' }).opts<RunFlags>();
};

const configOf = (...args: string[]) =>
  runConfigOf(flagsOf(...args), {
    workforce: workforceOf({ workers: 2 }),
    joinTimeoutSeconds: 60,
    data: FASHION_MNIST_DATA,
  });

test('--clip-norm goes into the configuration of the optimizer, which without it does not mention it', () => {
  const { optimizer } = configOf('--clip-norm', '0.5');
  expect(optimizerConfigSchema.parse(optimizer)).toHaveProperty('clipNorm', 0.5);
  expect(configOf().optimizer).not.toHaveProperty('clipNorm');
});

test.each(['0', '-1', 'NaN', 'Infinity', 'much', ''])('--clip-norm %j is refused', (value) => {
  expect(() => configOf('--clip-norm', value)).toThrow('Expected a number above 0');
});

afterEach(() => {
  vi.unstubAllEnvs();
});

test('--record-steps is off, on for every step without a value, and for every K-th with one; 0 turns it off', () => {
  expect(flagsOf().recordSteps).toBeUndefined();
  expect(flagsOf('--record-steps').recordSteps).toBe(1);
  expect(flagsOf('--record-steps', '--quiet')).toMatchObject({ recordSteps: 1, quiet: true });
  expect(flagsOf('--record-steps', '25').recordSteps).toBe(25);
  expect(flagsOf('--record-steps=0').recordSteps).toBe(0);
  vi.stubEnv('GRADSOCK_RECORD_STEPS', '10');
  expect(flagsOf().recordSteps).toBe(10);
  expect(flagsOf('--record-steps').recordSteps).toBe(1);
});

test('--no-tensorboard turns event files off, and so does its variable', () => {
  expect(flagsOf().tensorboard).toBe(true);
  expect(flagsOf('--no-tensorboard').tensorboard).toBe(false);
  vi.stubEnv('GRADSOCK_NO_TENSORBOARD', 'true');
  expect(flagsOf().tensorboard).toBe(false);
});

test.each(['-1', '1.5', 'often', ''])('--record-steps %j is refused', (value) => {
  expect(() => flagsOf(`--record-steps=${value}`)).toThrow('Expected a whole number from 0');
});

test('--trace-steps takes A-B and, for one step, A', () => {
  expect(flagsOf().trace).toBeUndefined();
  expect(flagsOf('--trace', '--trace-steps', '10-20')).toMatchObject({ trace: true, traceSteps: '10-20' });
  expect(flagsOf('--trace-steps', ' 7 ').traceSteps).toBe('7-7');
  vi.stubEnv('GRADSOCK_TRACE_STEPS', '3-4');
  expect(flagsOf().traceSteps).toBe('3-4');
});

test.each(['0-4', '5-4', '1-', '-3', '1-2-3', 'all', '', '1-1e99', '1-99999999999999999999'])(
  '--trace-steps %j is refused',
  (value) => {
    expect(() => flagsOf(`--trace-steps=${value}`)).toThrow('Expected steps A-B');
  },
);
