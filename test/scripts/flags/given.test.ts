/** What a command is given goes through the library's options, and is there what it was on the command line. */
import { Command } from 'commander';
import { expect, onTestFinished, test, vi } from 'vitest';
import { addTrainFlags } from '../../../scripts/flags/commands.ts';
import type { TrainFlags } from '../../../scripts/flags/commands.ts';
import { optionsGiven, setFlags } from '../../../scripts/flags/given.ts';

const ARGS = [
  ...[
    '--epochs',
    '3',
    '--epsilon',
    '1e-7',
    '--learning-rate',
    '0.1',
    '--seed',
    '-5',
    '--resize',
    '28x30',
    '--nesterov',
  ],
  ...['--no-shared-memory', '--wire', 'bf16', '--model', 'mine.json', '--step-timeout', '0.5', '--quiet'],
];

test('flags that are given are options without defaults, and as options they are the same flags', () => {
  vi.stubEnv('GRADSOCK_MOMENTUM', '0.5');
  onTestFinished(() => void vi.unstubAllEnvs());
  const parsed = addTrainFlags(new Command('train'));
  parsed.parse(ARGS, { from: 'user' });
  const options = optionsGiven<TrainFlags, 'quiet'>(parsed, 'quiet');
  expect(options).toEqual({
    ...{ epochs: 3, epsilon: 1e-7, learningRate: 0.1, seed: -5, resize: { height: 28, width: 30 }, nesterov: true },
    ...{ sharedMemory: false, wire: 'bf16', model: 'mine.json', stepTimeout: 0.5, momentum: 0.5 },
  });
  const command = addTrainFlags(new Command('train'));
  setFlags(command, options);
  expect({ ...command.opts(), quiet: true }).toEqual(parsed.opts());
  expect(optionsGiven(command)).toEqual(options);
});
