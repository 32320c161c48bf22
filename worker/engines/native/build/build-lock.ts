/**
 * The lock on a folder that is built into: of many processes that start at once, on one machine or on several that share
 * the folder, one builds and the others wait. It saves work and guards nothing: two that build at the same time both leave
 * a whole build.
 *
 * The file `lock` names its process, and is renewed. A lock that stays the same for a while, or whose process is gone from
 * this machine, was left behind: whoever waits removes it. No clock is compared with another machine's.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { nanoid } from 'nanoid';
import { z } from 'zod';

/** Ten renewals must fail before a lock is removed. A network file system may show a file as it was 3 s ago. */
export const LOCK_TIMING = { renewMs: 1000, staleMs: 10_000, lookMs: 200, deadlineMs: 600_000 } as const;
export type LockTiming = Readonly<Record<keyof typeof LOCK_TIMING, number>>;

const holderSchema = z.object({ id: z.string(), pid: z.int().positive(), host: z.string(), beat: z.number() });
type Holder = z.infer<typeof holderSchema>;

export interface WaitingOptions {
  /** Whether there is nothing left to wait for. */
  readonly isDone: () => boolean;
  /** Told, once, of the process that is waited for: "process 12 on host". */
  readonly onWait: (holder: string) => void;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: LockTiming;
}

export interface BuildLock {
  release(): Promise<void>;
}

/** The lock was held for as long as anybody waits. */
export class LockDeadlineError extends Error {
  override readonly name = 'LockDeadlineError';
}

/**
 * Takes the lock of `folder`, which must exist, or waits for the process that has it. Resolves with undefined when that
 * process has done the work.
 *
 * Rejects with the system's error where the folder cannot be written, with {@link LockDeadlineError}, and with the
 * signal's reason.
 */
export async function takeBuildLock(folder: string, options: WaitingOptions): Promise<BuildLock | undefined> {
  const { isDone, onWait, signal, timing = LOCK_TIMING } = options;
  const path = join(folder, 'lock');
  const startMs = performance.now();
  let seen = { text: '', sinceMs: startMs };
  let hasTold = false;
  while (!isDone()) {
    const lock = await tryLock(path, timing.renewMs);
    if (lock) return lock;
    const text = (await readText(path)) ?? '';
    const nowMs = performance.now();
    if (text !== seen.text) seen = { text, sinceMs: nowMs };
    const holder = parseHolder(text);
    const who = holder ? `process ${holder.pid} on ${holder.host}` : 'another process';
    if (nowMs - seen.sinceMs > timing.staleMs || (holder && isGone(holder))) {
      await rm(path, { force: true });
      continue;
    }
    if (nowMs - startMs > timing.deadlineMs) {
      throw new LockDeadlineError(`${who} has not finished within ${Math.round(timing.deadlineMs / 1000)} s`);
    }
    if (!hasTold) onWait(who);
    hasTold = true;
    await delay(timing.lookMs, undefined, { ...(signal && { signal }) }).catch(() => signal?.throwIfAborted());
  }
  return undefined;
}

/** Undefined where there is a lock already. */
async function tryLock(path: string, renewMs: number): Promise<BuildLock | undefined> {
  const own: Holder = { id: nanoid(), pid: process.pid, host: hostname(), beat: 0 };
  try {
    await writeFile(path, JSON.stringify(own), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
  const isOwn = async () => parseHolder((await readText(path)) ?? '')?.id === own.id;
  const renew = async () => {
    own.beat++;
    if (await isOwn()) await writeFile(path, JSON.stringify(own));
  };
  let renewal: Promise<void> | undefined;
  // A renewal that fails, or that hangs with its disk, costs at most a second build.
  const timer = setInterval(() => {
    renewal ??= renew()
      .catch(() => {})
      .finally(() => (renewal = undefined));
  }, renewMs);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      await renewal;
      if (await isOwn()) await rm(path, { force: true });
    },
  };
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

/** Undefined for a file that is being written. */
function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Known of processes of this machine alone. Two containers may share a name: then a second build is made. */
function isGone({ pid, host }: Holder): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
