/**
 * The files of a lock: `lock` names who holds the folder. `lock.ID.next`, where ID is that of a lock whose process is
 * gone, names its successor until the successor has moved this file over `lock`.
 */
import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { copyFile, link, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { encodeHolder, parseHolder } from './lock-holder.ts';
import type { Holder } from './lock-holder.ts';
import { storing } from './storage-error.ts';

export const LOCK_NAME = 'lock';

/** One file of a lock as it was read. */
export interface LockRecord {
  /** The holder's; of a torn file made from its content. */
  readonly id: string;
  /** All of its content: whatever renews a lock changes it. */
  readonly text: string;
  /** Undefined for a torn file. */
  readonly holder: Holder | undefined;
}

/** The file that succeeds a holder; the first has none before it. */
export function nameAfter(last: Pick<LockRecord, 'id'> | undefined): string {
  return last ? `${LOCK_NAME}.${last.id}.next` : LOCK_NAME;
}

/** The holder that `lock` names, its successor, and so on; the last of them has the lock. */
export async function readChain(folder: string, subject: string): Promise<LockRecord[]> {
  const chain: LockRecord[] = [];
  for (;;) {
    const record = await readRecord(join(folder, nameAfter(chain.at(-1))), subject);
    if (!record) return chain;
    chain.push(record);
  }
}

/** Undefined where there is no such file. Throws `ConfigError` for one that cannot be read. */
export async function readRecord(path: string, subject: string): Promise<LockRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(describeSystemError(`${subject}: ${path}`, 'read', error), { cause: error });
  }
  const holder = parseHolder(text);
  const id = holder?.id ?? `torn${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
  return { id, text, holder };
}

/** Makes the file, whole, unless there is one; returns whether it did. */
export async function makeExclusively(folder: string, path: string, holder: Holder): Promise<boolean> {
  const draft = join(folder, `${LOCK_NAME}.${holder.id}.part`);
  return storing(path, async () => {
    try {
      await writeFile(draft, encodeHolder(holder), { flush: true });
      // A copy where the file system knows no second names; a reader may then find it torn, and looks again.
      await link(draft, path).catch((error: unknown) => {
        if (isRace(error)) throw error;
        return copyFile(draft, path, constants.COPYFILE_EXCL);
      });
      return true;
    } catch (error) {
      // There is one; or the process that has the lock has removed the draft.
      if (isRace(error) && existsSync(folder)) return false;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
  });
}

const isRace = (error: unknown) => ['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Removes what processes left behind that were killed while they took the lock. The caller holds it as `id`. */
export async function removeLeftovers(folder: string, id: string): Promise<void> {
  const own = `${LOCK_NAME}.${id}.next`;
  for (const name of await readdir(folder)) {
    const isLeftover = /^lock\.[a-z0-9]+\.(next|part)$/.test(name) && name !== own;
    if (isLeftover) await rm(join(folder, name), { force: true });
  }
}
