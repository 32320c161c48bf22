/** One training for all launchers: what its parameters are, and when it is in the middle. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { readResult, runCli, SMALL } from './cli.ts';
import { temporaryFolder } from './folder.ts';

const EPOCHS = 25;

/** Enough steps that something may happen in their middle, and as many microbatches for any number of workers. */
const trainingOf = (model: string) => [
  ...['--model', model, '--microbatches', '4', '--epochs', String(EPOCHS), '--checkpoint-every', '5'],
  ...['--all-reduce', 'star'],
  ...SMALL,
];

/** The training, of seconds. */
export const TRAINING = trainingOf('dense');

/** One whose steps take some ten times as long. */
export const LONG_TRAINING = trainingOf('conv');

const plain = new Map<readonly string[], Promise<string>>();

/** The parameters of a training by `gradsock train`. */
async function plainSha256(training: readonly string[]): Promise<string> {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await runCli(['train', '--workers', '2', ...training, '--run-dir', runDir]);
  expect(code, output).toBe(0);
  return readResult(runDir).parametersSha256;
}

/** That a run has ended with the parameters of the training by `gradsock train`, which are computed once. */
export async function expectPlainResult(runDir: string, training: readonly string[] = TRAINING): Promise<void> {
  const known = plain.get(training) ?? plainSha256(training);
  plain.set(training, known);
  const parametersSha256 = await known;
  expect(readResult(runDir)).toMatchObject({ status: 'completed', epochs: EPOCHS, parametersSha256 });
}

/** Resolves when the run has recorded its second epoch. */
export async function inTheMiddle(runDir: string, hasEnded: () => boolean): Promise<void> {
  const path = join(runDir, 'epochs.jsonl');
  while (!existsSync(path) || readFileSync(path, 'utf8').split('\n').length < 3) {
    if (hasEnded()) throw new Error(`${runDir}: the run ended before its second epoch`);
    await delay(10);
  }
}
