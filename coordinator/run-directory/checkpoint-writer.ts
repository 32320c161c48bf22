/**
 * Writes checkpoints in the background: a step only copies the state, the disk is waited for at the run's end alone.
 *
 * While one is being written the newest other waits; one that would wait behind it is skipped, unless it is the best.
 */
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nanoid } from 'nanoid';
import { syncFolder, writeFileAtomically } from '../../protocol/atomic-file.ts';
import { encodeCheckpoint, sealCheckpoint } from './checkpoint.ts';
import type { CheckpointHeader } from './checkpoint.ts';
import { storing } from './storage-error.ts';

export const BEST_NAME = 'best.checkpoint';
const STEP_NAME = /^step-(\d+)\.checkpoint$/;

export interface CheckpointWriter {
  /**
   * Copies `state`, and has it written some time after. `isBest`: no epoch before had a better test accuracy.
   * Throws the `StorageError` of an earlier one that could not be written.
   */
  save(header: CheckpointHeader, state: Float32Array<ArrayBuffer>, isBest: boolean): void;
  /**
   * Lets the writing go on, if there is any, by one turn of the event loop, which training in one process may not leave
   * for a whole epoch. Rejects with the `StorageError` of one that could not be written; nothing is written after it.
   */
  proceed(): Promise<void>;
  /** Resolves when all is written; rejects with `StorageError` when something could not be. */
  finish(): Promise<void>;
}

export interface CheckpointWriterOptions {
  /** Made when the first is written. */
  readonly folder: string;
  /** How many are kept; the best one is kept besides. */
  readonly keep: number;
  /** Called before each is written; rejects with `StorageError` when this process may not write there any more. */
  readonly confirm?: () => Promise<void>;
  /** Told of the step of each checkpoint that is on the disk. */
  readonly onWritten?: ((step: number) => void) | undefined;
  /** Replaced by tests. */
  readonly write?: (path: string, file: Uint8Array) => Promise<void>;
}

interface Snapshot {
  readonly step: number;
  readonly file: Uint8Array<ArrayBuffer>;
  readonly isBest: boolean;
}

export function createCheckpointWriter(options: CheckpointWriterOptions): CheckpointWriter {
  const { folder, keep, confirm = () => Promise.resolve(), onWritten, write = writeFileAtomically } = options;
  /** At most two: the best, and the newest. */
  const waiting: Snapshot[] = [];
  const spare: ArrayBuffer[] = [];
  let failure: Error | undefined;
  let work: Promise<void> | undefined;
  /** Those of steps in the folder, oldest first; known when the first is written. */
  let names: string[] | undefined;

  const store = async ({ step, file, isBest }: Snapshot) => {
    const name = checkpointName(step);
    const path = join(folder, name);
    await storing(path, async () => {
      await sealCheckpoint(file);
      await confirm();
      if (!names && (await mkdir(folder, { recursive: true })) !== undefined) await syncFolder(dirname(folder));
      if (isBest) {
        // First of all: a run that is resumed from the other name would not know of a best one that was not kept.
        const best = join(folder, BEST_NAME);
        await write(best, file);
        await giveName(folder, best, path);
      } else {
        await write(path, file);
      }
      names ??= await listCheckpoints(folder);
      if (!names.includes(name)) names.push(name);
      await removeOld();
    });
    onWritten?.(step);
  };

  const removeOld = async () => {
    names ??= await listCheckpoints(folder);
    for (const old of names.splice(0, Math.max(0, names.length - keep))) await rm(join(folder, old), { force: true });
  };

  const writeAll = async () => {
    for (let next = waiting.shift(); next && !failure; next = waiting.shift()) {
      try {
        await store(next);
      } catch (error) {
        failure = error as Error;
      }
      spare.push(next.file.buffer);
    }
    work = undefined;
  };

  const throwIfFailed = () => {
    if (failure) throw failure;
  };

  return {
    save(header, state, isBest) {
      throwIfFailed();
      const overtaken = waiting.filter((snapshot) => isBest || !snapshot.isBest);
      for (const snapshot of overtaken) {
        waiting.splice(waiting.indexOf(snapshot), 1);
        spare.push(snapshot.file.buffer);
      }
      waiting.push({ step: header.point.step, file: encodeCheckpoint(header, state, spare.pop()), isBest });
      work ??= writeAll();
    },
    async proceed() {
      if (work) await nextTurn();
      throwIfFailed();
    },
    async finish() {
      await work;
      throwIfFailed();
      // Of a run that was killed right after its last checkpoint, and had nothing more to write.
      await storing(folder, async () => {
        await confirm();
        await removeOld();
      });
    },
  };
}

export const checkpointName = (step: number): string => `step-${String(step).padStart(8, '0')}.checkpoint`;

/** The checkpoints of steps in a folder, oldest first; none where there is no folder. */
export async function listCheckpoints(folder: string): Promise<string[]> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  const stepOf = (name: string) => Number(STEP_NAME.exec(name)![1]);
  return names.filter((name) => STEP_NAME.test(name)).sort((a, b) => stepOf(a) - stepOf(b));
}

/** A second name of the same file, or a copy where the file system has no such thing; put in place at once. */
async function giveName(folder: string, path: string, name: string): Promise<void> {
  const draft = `${name}.${nanoid(8)}.part`;
  try {
    await link(path, draft).catch(() => copyFile(path, draft));
    await rename(draft, name);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(folder);
}
