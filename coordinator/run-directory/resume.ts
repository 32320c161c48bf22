/**
 * Resuming a run: reads its configuration and result, and finds the newest whole checkpoint. The records of epochs and steps after
 * that checkpoint are cut off; they will be made again.
 */
import { existsSync, statSync } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { describeSystemError, isSystemError } from '../../protocol/system-errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import { removeDrafts } from '../../protocol/atomic-file.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { AllReduceKind } from '../run-config.ts';
import { BEST_NAME, listCheckpoints } from './checkpoint-writer.ts';
import { decodeCheckpoint } from './checkpoint.ts';
import type { Checkpoint, CheckpointOwner, RunPoint } from './checkpoint.ts';
import { cutConfusions } from './confusion-files.ts';
import { cutEpochs, cutSteps } from './cut-records.ts';
import type { RunResult } from '../reporting/reporter.ts';
import { runConfigSchema } from '../run-config.ts';
import type { RunConfig } from '../run-config.ts';
import type { RunDirectory } from './run-directory.ts';
import { storing } from './storage-error.ts';

/** Of `config.json`: the configuration, and what the command line had besides. */
const recordSchema = z.object({
  ...runConfigSchema.shape,
  runId: z.string(),
  engine: z.string().optional(),
  device: z.string().optional(),
  threads: z.int().optional(),
  checkpointEvery: z.int().optional(),
  keepCheckpoints: z.int().optional(),
  recordSteps: z.int().optional(),
  tensorboard: z.boolean().optional(),
  begunWith: z.enum(['star', 'ring'] satisfies AllReduceKind[]).optional(),
  startedAt: z.string().optional(),
  earlierEpochs: z.array(z.int()).optional(),
});

/** A run that was begun, as its directory has it. */
export interface RecordedRun {
  readonly path: string;
  readonly runId: string;
  readonly config: RunConfig;
  /** As they were given; of a `coordinator` there are none. */
  readonly engine?: { readonly engine: string; readonly device?: string | undefined; readonly threads: number };
  readonly checkpointEvery?: number | undefined;
  readonly keepCheckpoints?: number | undefined;
  /** Steps between records of steps; 0 or undefined: none is recorded. */
  readonly recordSteps?: number | undefined;
  /** Whether it writes event files for TensorBoard. Default: true. */
  readonly tensorboard?: boolean | undefined;
  /** The all-reduce that it took, when it had come as far as that. */
  readonly begunWith?: AllReduceKind | undefined;
  /** In ISO 8601; absent in older records. */
  readonly startedAt?: string | undefined;
  /** Numbers of epochs that it had before it was made longer: its older checkpoints are of these. */
  readonly earlierEpochs?: readonly number[] | undefined;
  /** Whether it is to be made longer now: its record does not say so yet. */
  readonly isLonger?: boolean;
  /** Its result, when it has run to its end. */
  readonly completed?: RunResult | undefined;
}

/** Throws `ConfigError` when the folder holds no run, or one whose configuration cannot be read. */
export function readRecordedRun(path: string, subject = `--resume ${path}`): RecordedRun {
  const configPath = join(path, 'config.json');
  if (isAbsent(configPath)) {
    throw new ConfigError(`${subject}: expected a run directory, got no config.json: give the --run-dir of a run`);
  }
  const checked = recordSchema.safeParse(readJsonFile(`${subject}: ${configPath}`, configPath));
  if (!checked.success) {
    const problems = checked.error.issues.map(({ path: at, message }) => `  ${at.join('.')}: ${message}`);
    throw new ConfigError(`${subject}: config.json is not that of a run that can be resumed:\n${problems.join('\n')}`);
  }
  const {
    runId,
    engine,
    device,
    threads,
    checkpointEvery,
    keepCheckpoints,
    recordSteps,
    tensorboard,
    begunWith,
    startedAt,
    earlierEpochs,
    ...config
  } = checked.data;
  const resultPath = join(path, 'result.json');
  const result = existsSync(resultPath)
    ? (readJsonFile(`${subject}: ${resultPath}`, resultPath) as RunResult)
    : undefined;
  return {
    path,
    runId,
    config,
    ...(engine !== undefined && threads !== undefined && { engine: { engine, device, threads } }),
    checkpointEvery,
    keepCheckpoints,
    recordSteps,
    tensorboard,
    begunWith,
    startedAt,
    earlierEpochs,
    ...(result?.status === 'completed' && { completed: result }),
  };
}

/** Not so of one that may not be looked at: reading it tells why. */
function isAbsent(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

/** Where a run stands that has not begun. */
export const BEGINNING: RunPoint = {
  step: 0,
  epochsDone: 0,
  testAccuracy: null,
  bestTestAccuracy: null,
  seconds: 0,
};

export interface ResumeTold {
  /** What goes as it should; and what the user should know, also when quiet. */
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
}

/**
 * Brings `replica` and the run directory to the newest checkpoint that is whole, and returns where that is. Others are
 * named with the reason and set aside as `*.refused`. Without any checkpoint, ever, the run begins again, and says so.
 *
 * `earlierEpochs`: numbers of epochs that it had before. Checkpoints of these are its own, too.
 *
 * Throws `ConfigError` when there are checkpoints but none is whole, or when records of epochs before it are missing.
 */
export async function restoreRun(
  directory: RunDirectory,
  config: RunConfig,
  replica: Replica,
  { say, warn }: ResumeTold,
  earlierEpochs: readonly number[] = [],
): Promise<RunPoint> {
  const folder = directory.checkpointFolder;
  for (const place of [directory.path, folder]) await removeDrafts(place);
  const owner = { runId: directory.runId, config, earlierEpochs, stateLength: replica.state.length };
  const found = await newestCheckpoint(folder, owner, warn);
  const point = found?.checkpoint.header.point ?? BEGINNING;
  // To read them takes its time, in which a lock can be lost.
  await directory.confirm();
  await cutEpochs(join(directory.path, 'epochs.jsonl'), point.epochsDone);
  await cutConfusions(directory.path, point.epochsDone);
  await cutSteps(join(directory.path, 'steps.jsonl'), point.step);
  // It tells how the run ended before; if it says nothing of this time, that is because it ends as suddenly.
  const resultPath = join(directory.path, 'result.json');
  await storing(resultPath, () => rm(resultPath, { force: true }));
  if (found) {
    replica.restore(found.checkpoint.state, point.step);
    say(
      `resuming ${directory.path} after step ${point.step}, ${countOf(point.epochsDone, 'epoch')} done, from ${found.name}`,
    );
  } else {
    warn(`resuming ${directory.path}: it ended before its first checkpoint: beginning at step 0`);
  }
  return point;
}

async function newestCheckpoint(
  folder: string,
  owner: CheckpointOwner,
  warn: (line: string) => void,
): Promise<{ checkpoint: Checkpoint; name: string } | undefined> {
  const all = existsSync(folder) ? await readdir(folder) : [];
  const wasRefused = all.some((name) => name.endsWith('.refused'));
  const best = all.includes(BEST_NAME) ? [BEST_NAME] : [];
  let newest: { checkpoint: Checkpoint; name: string } | undefined;
  let numRefused = 0;
  for (const name of [...best, ...(await listCheckpoints(folder))]) {
    const path = join(folder, name);
    try {
      const checkpoint = decodeCheckpoint(name, await readFile(path), owner);
      const step = newest?.checkpoint.header.point.step ?? -1;
      if (checkpoint.header.point.step >= step) newest = { checkpoint, name };
    } catch (error) {
      // That it cannot be read now says nothing of what it holds.
      if (isSystemError(error)) throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
      warn(
        `refused ${join(folder, error instanceof ConfigError ? error.message : `${name}: ${describeError(error)}`)}`,
      );
      // Out of the way of those that follow, which are kept by their numbers.
      await storing(path, () => rename(path, `${path}.refused`));
      numRefused++;
    }
  }
  if (!newest && (numRefused > 0 || wasRefused)) {
    throw new ConfigError(
      `--resume: ${folder}: expected a whole checkpoint of this run, got none: put one back from a copy, or start the ` +
        'run anew with another --run-dir',
    );
  }
  return newest;
}
