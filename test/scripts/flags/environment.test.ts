import { Command } from 'commander';
import type { Option } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { flag } from '../../../scripts/flags/values.ts';
import { createProgram } from '../../../scripts/program.ts';
import { readVariablesOf } from '../../../scripts/flags/environment.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Every command that does something, by the words that call it. */
function leavesOf(command: Command, words: readonly string[] = []): { words: readonly string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ words, command }];
  return command.commands.flatMap((sub) => leavesOf(sub, [...words, sub.name()]));
}

/** What the flags of a command are with this variable set, or with none: parsed by the whole program, carried out never. */
async function flagsOf(words: readonly string[], variable?: readonly [name: string, value: string]) {
  const program = await createProgram();
  const { command } = leavesOf(program).find((leaf) => leaf.words.join() === words.join())!;
  for (const { envVar } of command.options) if (envVar !== undefined) vi.stubEnv(envVar, undefined);
  if (variable) vi.stubEnv(...variable);
  command.action(() => {});
  await program.parseAsync(
    [...words, ...command.registeredArguments.filter(({ required }) => required).map(() => 'x')],
    { from: 'user' },
  );
  return command.opts<Record<string, unknown>>();
}

const options = leavesOf(await createProgram()).flatMap(({ words, command }) =>
  command.options
    .filter(({ envVar }) => envVar !== undefined)
    .map((option) => [`${words.join(' ')} ${option.long!}`, words, option] as const),
);
const booleans = options.filter(([, , option]) => !option.required && !option.optional);

test('every command has flags with variables, some of them without a value', async () => {
  const withFlags = new Set(options.map(([, words]) => words.join(' ')));
  const all = leavesOf(await createProgram()).map(({ words }) => words.join(' '));
  expect(all.filter((words) => !withFlags.has(words))).toEqual(['runs diff']);
  expect(booleans.map(([name]) => name)).toEqual(
    expect.arrayContaining([
      'train --nesterov',
      'coordinator --no-token',
      'worker --quiet',
      'train --no-shared-memory',
    ]),
  );
});

test.each(options)('%s: an empty variable is an unset one', async (_, words, option) => {
  const unset = await flagsOf(words);
  expect(await flagsOf(words, [option.envVar!, ''])).toEqual(unset);
  expect(await flagsOf(words, [option.envVar!, '  '])).toEqual(unset);
});

describe.each(booleans)('%s', (_, words, option: Option) => {
  const valueOf = async (text: string) => (await flagsOf(words, [option.envVar!, text]))[option.attributeName()];

  test('is on by true, 1, yes and on', async () => {
    for (const word of ['true', '1', 'yes', 'on', 'Yes', ' TRUE ']) expect(await valueOf(word)).toBe(!option.negate);
  });

  test('is off by false, 0, no and off', async () => {
    for (const word of ['false', '0', 'no', 'off', 'False']) expect(await valueOf(word)).toBe(option.negate);
  });

  test('is an error by anything else, which names the variable, what was expected and what was found', async () => {
    await expect(valueOf('maybe')).rejects.toThrow(
      `$${option.envVar!}: expected true, 1, yes, on for on or false, 0, no, off for off, got "maybe": unset it`,
    );
  });
});

test('a flag on the command line has priority over its variable', async () => {
  const program = new Command();
  const command = program.command('train').addOption(flag('--nesterov', '').default(false));
  command.action(() => {});
  readVariablesOf(program);
  vi.stubEnv('GRADSOCK_NESTEROV', 'off');
  await program.parseAsync(['train', '--nesterov'], { from: 'user' });
  expect(command.opts()).toEqual({ nesterov: true });
});

test('a variable that says off has priority over what a recipe would set: it counts as given', async () => {
  const program = new Command();
  const command = program.command('train').addOption(flag('--nesterov', '').default(false));
  command.action(() => {});
  readVariablesOf(program);
  vi.stubEnv('GRADSOCK_NESTEROV', 'no');
  await program.parseAsync(['train'], { from: 'user' });
  expect(command.getOptionValueSource('nesterov')).toBe('env');
});
