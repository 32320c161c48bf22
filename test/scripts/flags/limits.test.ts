import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { baselineCommand } from '../../../scripts/commands/baseline.ts';
import { coordinatorCommand } from '../../../scripts/commands/coordinator.ts';
import { trainCommand } from '../../../scripts/commands/train.ts';
import { workerCommand } from '../../../scripts/commands/worker.ts';

/** What the command says of the flag's value; undefined where it takes it. */
function refusalOf(create: typeof trainCommand, ...args: string[]): string | undefined {
  const command = create()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action(() => {});
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.message;
    throw error;
  }
  return undefined;
}

describe('a value that nothing can hold is refused with the limit:', () => {
  const counted = [
    ...['--epochs', '--global-batch', '--microbatches', '--accumulate', '--local-steps', '--train-samples'],
    ...['--test-samples', '--validation', '--max-steps', '--warmup-steps', '--decay-epochs', '--ema-every'],
    ...['--checkpoint-every', '--keep-checkpoints', '--record-steps'],
  ];
  test.each(counted)('%s beyond what can be counted', (name) => {
    expect(refusalOf(baselineCommand, name, '1e300')).toMatch(/Expected at most 9007199254740991\.$/);
    expect(refusalOf(baselineCommand, name, '9007199254740992')).toMatch(/Expected at most 9007199254740991\.$/);
    expect(refusalOf(baselineCommand, name, '9007199254740991')).toBeUndefined();
  });

  test.each([
    ['--learning-rate', '1e300', 'Infinity'],
    ['--learning-rate', '1e-300', '0'],
    ['--weight-decay', '1e39', 'Infinity'],
    ['--clip-norm', '1e300', 'Infinity'],
    ['--epsilon', '1e-50', '0'],
    ['--momentum', '0.999999999', '1'],
    ['--beta2', '0.999999999', '1'],
    ['--ema-decay', '0.999999999', '1'],
    ['--label-smoothing', '1e-300', '0'],
  ])('%s %s, which float32 cannot hold', (name, value, rounded) => {
    expect(refusalOf(baselineCommand, name, value)).toMatch(
      new RegExp(`Expected a number that float32 can hold, got one that is ${rounded} there\\.$`),
    );
  });

  test.each([
    [baselineCommand, '--step-timeout'],
    [coordinatorCommand, '--join-timeout'],
    [workerCommand, '--reconnect'],
  ])('%o %s beyond what a timer can wait', (create, name) => {
    expect(refusalOf(create, name, '2147484')).toContain('Expected at most 2147483 seconds (24 days)');
    expect(refusalOf(create, name, '2147483')).toBeUndefined();
  });

  test.each([
    [trainCommand, '--workers', 1024],
    [coordinatorCommand, '--workers', 10_000],
    [baselineCommand, '--threads', 1024],
    [workerCommand, '--threads', 1024],
  ])('%o %s', (create, name, most) => {
    expect(refusalOf(create, name, String(most + 1))).toContain(`Expected a whole number from 1 to ${most}.`);
    expect(refusalOf(create, name, String(most))).toBeUndefined();
  });
});
