/**
 * A run directory of which this process has the lock: one that is made for a new run, or that of a run that is gone on
 * with. What was made for a run that cannot begin is taken back.
 */
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { customAlphabet } from 'nanoid';
import type { ConfigError } from '../../protocol/errors.ts';
import { removeDrafts, syncFolder } from '../../protocol/atomic-file.ts';
import { checkRunFolder, clearEarlierStart } from './earlier-start.ts';
import { openRunDirectory } from './run-directory.ts';
import type { RunDirectory, RunRecord } from './run-directory.ts';
import { lockRunDirectory } from './run-lock.ts';
import type { RunLock } from './run-lock.ts';
import { StorageError } from './storage-error.ts';
import { unwritableFolder } from './unwritable-folder.ts';

const shortId = customAlphabet('0123456789abcdefghjkmnpqrstvwxyz', 6);

/** A record that no other process can write until it is released, see {@link RunLock}. */
export interface LockedRecord extends RunRecord, Pick<RunLock, 'lost' | 'renewIfDue' | 'release'> {}

export interface LockedRunDirectory extends RunDirectory, LockedRecord {
  readonly path: string;
  readonly checkpointFolder: string;
  /** After `release`, of a new run that could not be recorded: takes back what was made. */
  discard(): Promise<void>;
}

export interface OpeningOptions {
  /** What goes as it should; and what the user should know, also when quiet. */
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
  /** Ends the watching of another's lock. */
  readonly signal?: AbortSignal;
}

/**
 * Creates the directory: `path`, or by default `runs/<date>-<model>-<id>`. One that holds no more than the start of a run
 * that took no step is emptied, and used again.
 *
 * Throws `ConfigError`, with nothing left that it made, when the folder holds a run already, so that none is ever
 * overwritten, when another process is about to begin one there, or when it cannot be made or written.
 */
export async function createRunDirectory(
  modelName: string,
  path: string | undefined,
  options: OpeningOptions,
): Promise<LockedRunDirectory> {
  const runId = shortId();
  const date = new Date().toISOString().slice(0, 10);
  const folder = path ?? join('runs', `${date}-${modelName}-${runId}`);
  checkRunFolder(folder);
  const firstMade = await makeFolder(folder);
  let lock: RunLock | undefined;
  try {
    lock = await lockRunDirectory(folder, `--run-dir ${folder}`, options);
    // Another may have begun one while this process waited for the lock.
    checkRunFolder(folder);
    const earlier = await clearEarlierStart(folder);
    if (earlier !== undefined) options.say(`${folder}: an earlier start took no step (${earlier}): beginning anew`);
    await removeDrafts(folder);
    const directory = openRunDirectory(folder, runId, options.warn, lock);
    return { ...directory, ...lock, discard: () => discard(directory, firstMade) };
  } catch (error) {
    await lock?.release();
    if (firstMade !== undefined) await removeEmpty(folder, firstMade);
    throw error instanceof StorageError ? cannotBeMade(folder, error) : error;
  }
}

/** What there is to take back of a directory whose run could not even be recorded. */
async function discard({ path }: RunDirectory, firstMade: string | undefined): Promise<void> {
  for (const name of ['config.json', 'log.jsonl']) await rm(join(path, name), { force: true }).catch(() => {});
  if (firstMade !== undefined) await removeEmpty(path, firstMade);
}

/** Returns the first folder of the path that was not there, if any; names of folders are then on the disk too. */
async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    const firstMade = await mkdir(folder, { recursive: true });
    if (firstMade !== undefined) await syncFolder(dirname(resolve(folder)));
    return firstMade;
  } catch (error) {
    throw cannotBeMade(folder, error);
  }
}

/** For a folder in which a new run cannot be recorded: here `--resume` is no cure. */
export function cannotBeMade(folder: string, error: unknown): ConfigError {
  const cause = error instanceof StorageError ? error.cause : error;
  return unwritableFolder(folder, 'made', cause);
}

/** Removes `folder`, and those above it up to `first`, as far as nothing is in them. */
async function removeEmpty(folder: string, first: string): Promise<void> {
  const last = resolve(first);
  for (let path = resolve(folder); ; path = dirname(path)) {
    const isGone = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!isGone || path === last) return;
  }
}

/**
 * The directory of a run that is gone on with. Throws `ConfigError` when a process still writes it; a lock that one left
 * behind which is gone is taken over, as `say` and the log are told.
 */
export async function reopenRunDirectory(
  { path, runId }: Pick<RunDirectory, 'path' | 'runId'>,
  options: OpeningOptions,
): Promise<LockedRunDirectory> {
  const lock = await lockRunDirectory(path, `--resume ${path}`, options);
  const directory = openRunDirectory(path, runId, options.warn, lock);
  if (lock.takenOverFrom !== undefined) {
    const line = `${path}: its lock was left behind by ${lock.takenOverFrom}: taken over`;
    directory.logger.info(line);
    options.say(line);
  }
  return { ...directory, ...lock, discard: () => Promise.resolve() };
}
