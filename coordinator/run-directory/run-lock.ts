/**
 * The lock of a run directory: two processes must never write the same run, be it one that is resumed while it still
 * runs. A file `lock` says who holds it; it is made whole at once, and goes when the run ends.
 *
 * A process that was killed leaves its lock behind. The next one on the same machine finds that process gone. Where
 * processes cannot see each other (other hosts, other containers) the next one watches: the holder renews its lock, see
 * `lock-lease.ts`, and a lock that stays as it is through a fixed number of looks is free. The watcher counts looks and
 * not seconds: a machine that was suspended with both processes gives the holder its turn first.
 *
 * The successor makes `lock.ID.next`, where ID is the stale lock's own. Names are made exclusively, so of several that
 * come at once one succeeds; and IDs never come again, so one that is late can only make a name that `lock` does not lead
 * to any more, and sees that. The successor then moves its file over `lock`. If it is killed before, the next process
 * succeeds the successor in the same way.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { awaitEvent } from '../await-event.ts';
import { ConfigError, internalError } from '../../protocol/errors.ts';
import { LOCK_NAME, makeExclusively, nameAfter, readChain, removeLeftovers } from './lock-files.ts';
import type { LockRecord } from './lock-files.ts';
import { createHolder, describeHolder, presenceOf } from './lock-holder.ts';
import type { Holder } from './lock-holder.ts';
import { startLease } from './lock-lease.ts';
import type { Lease } from './lock-lease.ts';
import { storing } from './storage-error.ts';

/** Each attempt but the last fails because another process has just succeeded. */
const MOST_ATTEMPTS = 50;

/** 20 s of looks at a lock that is renewed every 2 s: ten renewals must fail before it is taken over. */
export const LOCK_TIMING = { renewMs: 2000, lookMs: 1000, numLooks: 20 } as const;

export interface LockOptions {
  /** Told when others have to be watched, which takes its time. */
  readonly say?: (line: string) => void;
  /** Ends the watching. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: { readonly renewMs: number; readonly lookMs: number; readonly numLooks: number };
}

export interface RunLock extends Omit<Lease, 'end'> {
  /** Who left it behind, and how that was found, in a few words, where it was taken over. */
  readonly takenOverFrom: string | undefined;
  /** Removes it, if it is still this process's. */
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock of `folder`, which must exist, and renews it until it is released. `subject` begins the message: the flag
 * that names the folder.
 *
 * Throws `ConfigError` when a process holds it that is alive or renews it; `StorageError` when it cannot be written; the
 * signal's reason.
 */
export async function lockRunDirectory(folder: string, subject: string, options: LockOptions = {}): Promise<RunLock> {
  const { timing = LOCK_TIMING } = options;
  const own = createHolder();
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const chain = await readChain(folder, subject);
    const last = chain.at(-1);
    const finding = last && (await examine(folder, subject, last, { ...options, timing }));
    if (finding === 'changed') continue;
    const claim = join(folder, nameAfter(last));
    if (!(await makeExclusively(folder, claim, own))) continue;
    const reached = (await readChain(folder, subject)).slice(-2);
    if (reached.at(-1)?.id !== own.id) {
      await rm(claim, { force: true });
      continue;
    }
    // Its holder was slow, not gone: it renewed the lock after the last look.
    if (last && reached[0]!.text !== last.text) {
      await rm(claim, { force: true });
      throw refusal(folder, subject, reached[0]!);
    }
    if (last) await storing(claim, () => rename(claim, join(folder, LOCK_NAME)));
    await removeLeftovers(folder, own.id);
    const lease = await startLease(folder, own, timing.renewMs);
    const takenOverFrom = last && `${describeHolder(last.holder)}, ${finding!}`;
    return { ...lease, takenOverFrom, release: () => lease.end() };
  }
  throw internalError(`${folder}: ${MOST_ATTEMPTS} others took its lock one after the other`);
}

/**
 * Why a lock is free, in a few words, or `changed` when it is another one by now. Throws `ConfigError` when a process
 * holds it.
 */
async function examine(
  folder: string,
  subject: string,
  last: LockRecord,
  options: LockOptions & Required<Pick<LockOptions, 'timing'>>,
): Promise<string> {
  const { holder } = last;
  const presence = holder ? presenceOf(holder) : 'unknown';
  if (presence === 'gone') return 'which is gone';
  if (presence === 'here' || (holder && !isRenewed(holder))) throw refusal(folder, subject, last);

  const { numLooks, lookMs } = options.timing;
  const seconds = Math.round((numLooks * lookMs) / 1000);
  options.say?.(
    `${subject}: ${describeHolder(holder)} has the lock, and cannot be seen from here: watching for ${seconds} s whether ` +
      'that process still renews it',
  );
  for (let look = 0; look < numLooks; look++) {
    await awaitEvent(() => {}, lookMs, options.signal);
    const now = (await readChain(folder, subject)).at(-1);
    if (now?.text === last.text) continue;
    // A file that was torn was being written.
    if (!holder || now?.id !== last.id) return 'changed';
    throw refusal(folder, subject, now);
  }
  return `which has not renewed it for ${seconds} s`;
}

/** Earlier versions did not renew their locks, so watching one tells nothing. */
const isRenewed = ({ beat }: Holder): boolean => beat !== undefined;

function refusal(folder: string, subject: string, { holder }: LockRecord): ConfigError {
  const cure =
    holder && isRenewed(holder)
      ? 'wait for its end, or end that process'
      : `wait for its end, or, if that process is surely gone, delete ${join(folder, LOCK_NAME)}`;
  return new ConfigError(
    `${subject}: expected a run that nobody writes, got one that ${describeHolder(holder)} writes: ${cure}`,
  );
}
