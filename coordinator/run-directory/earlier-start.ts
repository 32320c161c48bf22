/**
 * What a folder holds that a new run is to be recorded in: nothing, a run, or the start of one that took no step. The
 * same command may use a start's folder again: there is nothing in it that a user could lose.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import type { RunResult } from '../reporting/reporter.ts';
import { TENSORBOARD_FOLDER } from '../reporting/tensorboard/tensorboard.ts';
import { readRecordedRun } from './resume.ts';
import { nearestExisting, unwritableFolder } from './unwritable-folder.ts';

/** What a run has only once it has trained, or was asked for its initial model. */
const TRAINED = ['model.safetensors', 'best.safetensors', 'epochs.jsonl', 'checkpoints'];
/**
 * What is there before; the configuration goes first, for without it a folder holds no run. Steps that workers took in a ring
 * may be recorded though the run has none of them.
 */
const STARTED = ['config.json', 'result.json', 'log.jsonl', 'steps.jsonl', TENSORBOARD_FOLDER, 'token'];

/**
 * Refuses, before anything is made, a folder that holds a run or in which nothing can be written. Throws `ConfigError`
 * that names `--run-dir`.
 */
export function checkRunFolder(folder: string): void {
  if (contentOf(folder) === 'run') {
    throw new ConfigError(`--run-dir ${folder}: holds a run already: choose another folder, or remove this one`);
  }
  const nearest = nearestExisting(folder);
  try {
    if (!statSync(nearest).isDirectory()) throw Object.assign(new Error('no folder'), { code: 'ENOTDIR' });
    accessSync(nearest, constants.W_OK | constants.X_OK);
  } catch (error) {
    const deed = nearest === resolve(folder) ? 'written' : 'made';
    throw unwritableFolder(folder, deed, error);
  }
}

/** Whether a folder holds a run that can be resumed, or is completed. Throws `ConfigError` as `readRecordedRun` does. */
export function holdsRun(folder: string): boolean {
  return contentOf(folder) === 'run';
}

/** Removes the start of a run that took no step, if the folder holds one; returns how that ended, in a few words. */
export async function clearEarlierStart(folder: string): Promise<string | undefined> {
  if (contentOf(folder) !== 'start') return undefined;
  const result = readResult(folder);
  const how = result ? `${result.status}${result.error ? `: ${result.error.message}` : ''}` : 'it was killed';
  for (const name of STARTED) await rm(join(folder, name), { force: true, recursive: true });
  return how;
}

function contentOf(folder: string): 'nothing' | 'start' | 'run' {
  const has = (name: string) => existsSync(join(folder, name));
  if (!has('config.json')) return 'nothing';
  if (TRAINED.some(has)) return 'run';
  try {
    const { begunWith } = readRecordedRun(folder);
    const result = readResult(folder);
    // Of one that was killed: what its workers average with is recorded right before the first step.
    const isStart = result ? result.status !== 'completed' && result.steps === 0 : begunWith === undefined;
    return isStart ? 'start' : 'run';
  } catch (error) {
    if (error instanceof ConfigError) return 'run';
    throw error;
  }
}

function readResult(folder: string): RunResult | undefined {
  const path = join(folder, 'result.json');
  return existsSync(path) ? (readJsonFile(path, path) as RunResult) : undefined;
}
