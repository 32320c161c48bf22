import { FASHION_MNIST_DATA } from '../../../scripts/flags/load-model.ts';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { optimizerConfigSchema } from '../../../protocol/vectors/optimizer.ts';
import { addRunFlags, runConfigOf } from '../../../scripts/flags/run-flags.ts';
import type { RunFlags } from '../../../scripts/flags/run-flags.ts';

const configOf = (...args: string[]) => {
  const command = addRunFlags(new Command('train').exitOverride().configureOutput({ writeErr: () => {} }));
  return runConfigOf(command.parse(args, { from: 'user' }).opts<RunFlags>(), {
    workers: 2,
    joinTimeoutSeconds: 60,
    data: FASHION_MNIST_DATA,
  });
};

test('--clip-norm goes into the configuration of the optimizer, which without it does not mention it', () => {
  const { optimizer } = configOf('--clip-norm', '0.5');
  expect(optimizerConfigSchema.parse(optimizer)).toHaveProperty('clipNorm', 0.5);
  expect(configOf().optimizer).not.toHaveProperty('clipNorm');
});

test.each(['0', '-1', 'NaN', 'Infinity', 'much', ''])('--clip-norm %j is refused', (value) => {
  expect(() => configOf('--clip-norm', value)).toThrow('Expected a number above 0');
});
