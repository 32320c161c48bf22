/** The program's help and its errors for mistakes on the command line, in this process. */
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../scripts/program.ts';

const COMMANDS = [
  'train',
  'baseline',
  'coordinator',
  'worker',
  'doctor',
  'launch',
  'rank',
  'data',
  'predict',
  'evaluate',
  'export',
  'runs',
  'show',
  'report',
  'engines',
  'scale',
  'sweep',
];

/** What `gradsock ARGS` writes when it does not get as far as to do anything. */
async function outputOf(...args: string[]): Promise<string> {
  return outputAt(80, ...args);
}

/** The same on a terminal with this many columns. */
async function outputAt(columns: number, ...args: string[]): Promise<string> {
  let output = '';
  const write = (text: string) => (output += text);
  const collect = (command: Command) => {
    const getOutHelpWidth = () => columns;
    command.configureOutput({ ...command.configureOutput(), writeOut: write, writeErr: write, getOutHelpWidth });
    for (const subcommand of command.commands) collect(subcommand);
  };
  const program = await createProgram(args);
  collect(program);
  await expect(program.parseAsync(args, { from: 'user' })).rejects.toThrow(CommanderError);
  return output;
}

test.each([
  ['train --lr 0.1', '--lr', '--learning-rate'],
  ['baseline --batch-size=32', '--batch-size=32', '--global-batch'],
  ['train --nproc-per-node 4', '--nproc-per-node', '--workers'],
  ['train --epoch 3', '--epoch', '--epochs'],
])('%s: did you mean our flag?', async (line, unknown, ours) => {
  expect(await outputOf(...line.split(' '))).toBe(`error: unknown option '${unknown}'\n(Did you mean ${ours}?)\n`);
});

test('a flag of another command is not suggested', async () => {
  expect(await outputOf('worker', '--lr', '3')).not.toContain('--learning-rate');
});

test('the list of commands names and describes each, though none of them is loaded', async () => {
  const whole = await createProgram();
  const help = await outputOf('--help');
  for (const name of COMMANDS) expect(help).toMatch(new RegExp(`^  ${name} +\\w+`, 'm'));
  expect(whole.commands.map((command) => command.name())).toEqual(COMMANDS);
  expect((await createProgram(['--help'])).commands.flatMap(({ options }) => options)).toEqual([]);
});

test.each(COMMANDS)('%s --help ends with two examples, in which every flag exists', async (name) => {
  const { commands } = await createProgram([name]);
  const command = commands.find((candidate) => candidate.name() === name)!;
  const flags = [command, ...command.commands].flatMap(({ options }) => options.map(({ long }) => long));
  const examples = (await outputOf(name, '--help')).split('\nExamples:\n')[1]!.trimEnd().split('\n');
  expect(examples).toHaveLength(2);
  for (const example of examples) {
    // What comes before is a launcher, with flags of its own.
    const [, own] = new RegExp(`^  (?:.* )?gradsock ${name}\\b(.*)$`).exec(example)!;
    for (const [flag] of own!.matchAll(/--[\w-]+/g)) expect(flags).toContain(flag);
  }
});

test.each(['train', 'baseline', 'coordinator', 'worker', 'launch'])(
  '%s --help lists every flag in a group',
  async (name) => {
    const { commands } = await createProgram([name]);
    const { options } = commands.find((candidate) => candidate.name() === name)!;
    expect(options.filter(({ helpGroupHeading }) => helpGroupHeading === undefined)).toEqual([]);
  },
);

test.each([40, 80, 120])('train --help fits on a terminal of %i columns, its examples aside', async (columns) => {
  const [help] = (await outputAt(columns, 'train', '--help')).split('\nExamples:\n');
  expect(help!.split('\n').filter((line) => line.length > columns)).toEqual([]);
  expect(help!.replace(/\s+/g, ' ')).toContain('--epochs <n> passes over the training samples (default: 30, env:');
});
