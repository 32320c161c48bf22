/**
 * The run directory: what a run leaves behind. Whole files are replaced atomically; lines are appended, and on the disk
 * before a checkpoint can count on them. What cannot be written rejects with `StorageError`. While the run lasts its
 * process has the directory to itself: see `run-lock.ts`.
 */
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { customAlphabet } from 'nanoid';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { ConfigError } from '../protocol/errors.ts';
import { describeSystemError } from '../protocol/system-errors.ts';
import { readJsonFile } from '../protocol/text-files.ts';
import { writeFileAtomically } from '../protocol/state/atomic-file.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { encodeSafetensors, namedTensors } from '../protocol/state/safetensors.ts';
import type { AllReduceKind } from './all-reduce/choose.ts';
import type { EpochRecord, RunResult } from './reporters/reporter.ts';
import type { RunConfig } from './run-config.ts';
import { lockRunDirectory } from './run-lock.ts';
import { asStorageError, StorageError, storing } from './storage-error.ts';

const shortId = customAlphabet('0123456789abcdefghjkmnpqrstvwxyz', 6);

export interface RunDirectory {
  readonly path: string;
  /** For the run's checkpoints; made with the first of them. */
  readonly checkpointFolder: string;
  readonly runId: string;
  readonly logger: Logger;
  writeConfig(config: RunConfig, origin: object): Promise<void>;
  /** Adds to the configuration what the run begins with, which `auto` may not choose again when it is resumed. */
  recordAllReduce(begunWith: AllReduceKind): Promise<void>;
  appendEpoch(record: EpochRecord): Promise<void>;
  /** `model.safetensors`, of the replica as it is now: the averages of its weights where it keeps them. */
  writeModel(replica: Replica): Promise<void>;
  writeResult(result: RunResult): Promise<void>;
}

/** One that no other process can write until it is released. */
export interface LockedRunDirectory extends RunDirectory {
  release(): Promise<void>;
}

/**
 * Creates the directory: `path`, or by default `runs/<date>-<model>-<id>`.
 *
 * Throws `ConfigError` when it holds a run already, so that none is ever overwritten, when another process is about to
 * begin one there, or when it cannot be made.
 */
export async function createRunDirectory(
  modelName: string,
  path: string | undefined,
  warn: (line: string) => void,
): Promise<LockedRunDirectory> {
  const runId = shortId();
  const date = new Date().toISOString().slice(0, 10);
  const folder = path ?? join('runs', `${date}-${modelName}-${runId}`);
  const refuseRun = () => {
    if (!existsSync(join(folder, 'config.json'))) return;
    throw new ConfigError(`--run-dir ${folder}: holds a run already: choose another folder, or remove this one`);
  };
  refuseRun();
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new ConfigError(describeSystemError(`--run-dir ${folder}`, 'made', error), { cause: error });
  }
  const { release } = await beginning(folder, () => lockRunDirectory(folder, `--run-dir ${folder}`));
  try {
    // Another may have begun one while this process waited for the lock.
    refuseRun();
  } catch (error) {
    await release();
    throw error;
  }
  return { ...openRunDirectory(folder, runId, warn), release };
}

/** Runs `action`, which writes into the directory of a run that is not there yet: nobody is told to resume it. */
export async function beginning<T>(folder: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof StorageError ? asStorageError(`--run-dir ${folder}`, error.cause, false) : error;
  }
}

/**
 * The directory of a run that is gone on with. Throws `ConfigError` when a process still writes it; a lock that one left
 * behind which is gone is taken over, as `say` and the log are told.
 */
export async function reopenRunDirectory(
  { path, runId }: Pick<RunDirectory, 'path' | 'runId'>,
  { say, warn }: { readonly say: (line: string) => void; readonly warn: (line: string) => void },
): Promise<LockedRunDirectory> {
  const { takenOverFrom, release } = await lockRunDirectory(path, `--resume ${path}`);
  const directory = openRunDirectory(path, runId, warn);
  if (takenOverFrom !== undefined) {
    const line = `${path}: its lock was left behind by ${takenOverFrom}, which is gone: taken over`;
    directory.logger.info(line);
    say(line);
  }
  return { ...directory, release };
}

/** The directory of a run that has one; `warn` is told, once, of a log that cannot be written, which ends no run. */
export function openRunDirectory(folder: string, runId: string, warn: (line: string) => void): RunDirectory {
  const file = (name: string) => join(folder, name);
  const logger = openLog(file('log.jsonl'), warn);
  const json = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;
  const replace = (name: string, content: string | Uint8Array) =>
    storing(file(name), () => writeFileAtomically(file(name), content));
  return {
    path: folder,
    checkpointFolder: file('checkpoints'),
    runId,
    logger,
    writeConfig: (config, origin) => replace('config.json', json({ runId, ...config, ...origin })),
    recordAllReduce: async (begunWith) => {
      const recorded = readJsonFile(file('config.json'), file('config.json')) as object;
      await replace('config.json', json({ ...recorded, begunWith }));
    },
    appendEpoch: (record) =>
      storing(file('epochs.jsonl'), () => appendLine(file('epochs.jsonl'), JSON.stringify(record))),
    writeModel: (replica) => {
      const { parameters, buffers } = replica.averages ?? replica;
      const tensors = namedTensors(replica.plan, parameters, buffers);
      const metadata = { format: 'gradsock', model: JSON.stringify(replica.plan.spec), step: String(replica.step) };
      return replace('model.safetensors', encodeSafetensors(tensors, metadata));
    },
    writeResult: (result) => replace('result.json', json(result)),
  };
}

function openLog(path: string, warn: (line: string) => void): Logger {
  let hasWarned = false;
  const warnOnce = (error: unknown) => {
    if (!hasWarned) warn(`warning: ${describeSystemError(path, 'written', error)}`);
    hasWarned = true;
  };
  try {
    const destination = pino.destination({ dest: path, sync: true });
    destination.on('error', warnOnce);
    return pino({ base: null }, destination);
  } catch (error) {
    warnOnce(error);
    return pino({ base: null, enabled: false });
  }
}

async function appendLine(path: string, line: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    await file.writeFile(`${line}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
}
