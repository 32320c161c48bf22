/**
 * Keeping a lock: the holder renews it by a counter in its file, and looks whether the lock is still its own.
 *
 * No clock is compared with another machine's: the counter says only that the holder was there since it was last read.
 * It is written through the file that the holder has open, so a late renewal never touches a successor's file.
 */
import { constants, writeSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { beatText, BEAT_POSITION_BYTES, describeHolder } from './lock-holder.ts';
import { LOCK_NAME, nameAfter, readRecord } from './lock-files.ts';
import type { LockRecord } from './lock-files.ts';
import { StorageError, storing } from './storage-error.ts';

export interface Lease {
  /**
   * Looks whether the lock is still this process's. Rejects with `StorageError` once it is not, ever after; a process that
   * was stopped for long, and whose lock was taken over meanwhile, finds out here before it writes.
   */
  confirm(): Promise<void>;
  /** Renews where the timer had no turn: for a loop that keeps the event loop from its timers. */
  renewIfDue(): void;
  /** Aborted when the lock is found lost; its reason is the `StorageError`. */
  readonly lost: AbortSignal;
  /** Renews no more, and removes the lock if it is still this process's. */
  end(): Promise<void>;
}

/** Written through to the disk, or to the server of a shared folder, where others read it. Windows has no such flag. */
const OPEN_FLAGS = constants.O_RDWR | constants.O_DSYNC;

/** Renews the lock of `folder`, which this process has just taken as `own`, every `renewMs`. */
export async function startLease(folder: string, own: Pick<LockRecord, 'id'>, renewMs: number): Promise<Lease> {
  const path = join(folder, LOCK_NAME);
  const file = await storing(path, () => open(path, OPEN_FLAGS)).catch(async (error: unknown) => {
    await rm(path, { force: true }).catch(() => {});
    throw error;
  });
  const lost = new AbortController();
  let beat = 0;
  let renewedMs = performance.now();

  const lose = (how: string): never => {
    clearInterval(timer);
    const cure = 'this process writes no more there; continue with --resume if no other does';
    lost.abort(new StorageError(`${path}: expected the lock of this process, ${how}: ${cure}`));
    throw lost.signal.reason as StorageError;
  };
  const confirm = async () => {
    lost.signal.throwIfAborted();
    const claim = await readRecord(join(folder, nameAfter(own)), path);
    if (claim) lose(`got that of ${describeHolder(claim.holder)}, which has taken it over`);
    const record = await readRecord(path, path);
    if (!record) lose('got no such file');
    else if (record.id !== own.id) lose(`got that of ${describeHolder(record.holder)}`);
  };
  const renewal = createRenewal(file, () => beatText(++beat));
  const timer = setInterval(() => {
    renewedMs = performance.now();
    // What fails for a while is tried again; a loss is told by `lost`.
    void renewal
      .write()
      .then(confirm, () => {})
      .catch(() => {});
  }, renewMs);
  timer.unref();

  return {
    confirm: () => storing(path, confirm),
    renewIfDue() {
      if (performance.now() - renewedMs < 2 * renewMs) return;
      renewedMs = performance.now();
      renewal.writeNow();
    },
    lost: lost.signal,
    async end() {
      clearInterval(timer);
      await renewal.end();
      const record = await readRecord(path, folder).catch(() => undefined);
      // One that cannot be removed does no harm: its process is about to be gone.
      if (record?.id === own.id) await rm(path, { force: true }).catch(() => {});
    },
  };
}

/** Writes the counter over the one before, in the same place: this takes no room, also on a full disk. */
function createRenewal(file: FileHandle, nextBeat: () => string) {
  let writing: Promise<unknown> | undefined;
  return {
    async write(): Promise<void> {
      // One that hangs with its disk is not followed by others.
      if (writing) return;
      writing = file.write(nextBeat(), BEAT_POSITION_BYTES);
      try {
        await writing;
      } finally {
        writing = undefined;
      }
    },
    writeNow(): void {
      try {
        writeSync(file.fd, nextBeat(), BEAT_POSITION_BYTES);
      } catch {
        // Tried again later, like one by the timer.
      }
    },
    async end(): Promise<void> {
      await writing?.catch(() => {});
      await file.close().catch(() => {});
    },
  };
}
