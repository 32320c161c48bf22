/** One training for all launchers: what its parameters are, and when it is in the middle. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { readResult, runCli, SMALL } from './cli.ts';
import { temporaryFolder } from './folder.ts';

const EPOCHS = 25;

/** The training: enough steps that something may happen in their middle, and as many microbatches for any number of workers. */
export const TRAINING = [
  ...['--model', 'dense', '--microbatches', '4', '--epochs', String(EPOCHS), '--checkpoint-every', '5'],
  ...['--all-reduce', 'star'],
  ...SMALL,
];

let plain: Promise<string> | undefined;

/** The parameters of the training by `gradsock train`: computed once. */
async function plainSha256(): Promise<string> {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await runCli(['train', '--workers', '2', ...TRAINING, '--run-dir', runDir]);
  expect(code, output).toBe(0);
  return readResult(runDir).parametersSha256;
}

/** That a run has ended with the parameters of the training by `gradsock train`. */
export async function expectPlainResult(runDir: string): Promise<void> {
  const parametersSha256 = await (plain ??= plainSha256());
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
