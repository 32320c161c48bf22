/** Whether a process writes a run's folder, as far as one tells who only looks: nothing is taken, and nothing is waited for. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LOCK_NAME, readChain } from './lock-files.ts';
import type { LockRecord } from './lock-files.ts';
import { presenceOf } from './lock-holder.ts';

export interface LockPresence {
  /** `left`: the process that had the lock is gone, and has not given it back. */
  readonly state: 'none' | 'held' | 'left';
  /** When it was taken, in ISO 8601 and by the holder's clock. */
  readonly since?: string;
}

/** Of a process on another machine: a lock that was not renewed for this long counts as left. It is renewed every 2 s. */
const SILENCE_MS = 30_000;

export async function lockPresence(folder: string): Promise<LockPresence> {
  const last = await lastRecord(folder);
  if (!last) return { state: 'none' };
  const since = last.holder && { since: last.holder.since };
  const presence = last.holder ? presenceOf(last.holder) : 'unknown';
  if (presence !== 'unknown') return { state: presence === 'here' ? 'held' : 'left', ...since };
  const found = await stat(join(folder, LOCK_NAME)).catch(() => undefined);
  const isFresh = found !== undefined && Math.abs(Date.now() - found.mtimeMs) < SILENCE_MS;
  return { state: isFresh ? 'held' : 'left', ...since };
}

/** A lock that cannot be read is none that tells anything. */
async function lastRecord(folder: string): Promise<LockRecord | undefined> {
  try {
    return (await readChain(folder, folder)).at(-1);
  } catch {
    return undefined;
  }
}
