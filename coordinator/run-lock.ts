/**
 * The lock of a run directory: two processes must never write the same run, be it one that is resumed while it still
 * runs. A file `lock` says who holds it; it is made whole at once, and goes when the run ends.
 *
 * A process that was killed leaves its lock behind. Whoever comes next on the same machine finds that process gone and
 * succeeds it: it makes `lock.ID.next`, where ID is the stale lock's own. Names are made exclusively, so of several that
 * come at once one succeeds; and IDs never come again, so one that is late can only make a name that `lock` does not lead
 * to any more, and sees that. The successor then moves its file over `lock`. Were it killed before, whoever comes next
 * succeeds the successor in the same way.
 */
import { constants, existsSync, readFileSync } from 'node:fs';
import { copyFile, link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { customAlphabet } from 'nanoid';
import { z } from 'zod';
import { ConfigError, internalError } from '../protocol/errors.ts';
import { describeSystemError } from '../protocol/system-errors.ts';
import { storing } from './storage-error.ts';

const LOCK_NAME = 'lock';

/** Each attempt but the last fails because another process has just succeeded. */
const MOST_ATTEMPTS = 50;

const newId = customAlphabet('0123456789abcdefghjkmnpqrstvwxyz', 12);

const holderSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9]+$/),
  pid: z.int().positive(),
  host: z.string(),
  /** Tells the process from a later one with the same pid; null where the system does not tell. */
  processStart: z.string().nullable(),
  since: z.string(),
});

type Holder = Readonly<z.infer<typeof holderSchema>>;

export interface RunLock {
  /** Who left it behind, in a few words, where it was taken over. */
  readonly takenOverFrom: string | undefined;
  /** Removes it, if it is still this one's. */
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock of `folder`, which must exist. `subject` begins the message: the flag that names the folder.
 *
 * Throws `ConfigError` when a process holds it that is alive, or of another host, where nobody can tell; `StorageError`
 * when it cannot be written.
 */
export async function lockRunDirectory(folder: string, subject: string): Promise<RunLock> {
  const own: Holder = {
    id: newId(),
    pid: process.pid,
    host: hostname(),
    processStart: processStartOf(process.pid),
    since: new Date().toISOString(),
  };
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const chain = await readChain(folder, subject);
    const last = chain.at(-1);
    if (last && isHeld(last)) throw refusal(folder, subject, last);
    const claim = join(folder, nameAfter(last));
    if (!(await makeExclusively(folder, claim, own))) continue;
    const isReached = (await readChain(folder, subject)).at(-1)?.id === own.id;
    if (!isReached) {
      await rm(claim, { force: true });
      continue;
    }
    if (last) await storing(claim, () => rename(claim, join(folder, LOCK_NAME)));
    // What `lock` led to before; nothing leads there now.
    for (const holder of chain.slice(0, -1)) await rm(join(folder, nameAfter(holder)), { force: true });
    return { takenOverFrom: last && describeHolder(last), release: () => release(folder, own) };
  }
  throw internalError(`${folder}: ${MOST_ATTEMPTS} others took its lock one after the other`);
}

/** The file that succeeds a holder; the first has none before it. */
function nameAfter(holder: Holder | undefined): string {
  return holder ? `${LOCK_NAME}.${holder.id}.next` : LOCK_NAME;
}

/** The holder that `lock` names, its successor, and so on; the last of them has the lock. */
async function readChain(folder: string, subject: string): Promise<Holder[]> {
  const chain: Holder[] = [];
  for (;;) {
    const holder = await readHolder(join(folder, nameAfter(chain.at(-1))), subject);
    if (!holder) return chain;
    chain.push(holder);
  }
}

async function readHolder(path: string, subject: string): Promise<Holder | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(describeSystemError(`${subject}: ${path}`, 'read', error), { cause: error });
  }
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    throw new ConfigError(
      `${subject}: ${path}: expected to read who writes this run, got something else: delete that file if nobody does`,
    );
  }
}

function refusal(folder: string, subject: string, holder: Holder): ConfigError {
  return new ConfigError(
    `${subject}: expected a run that nobody writes, got one that ${describeHolder(holder)} writes: wait for its end, ` +
      `or, if that process is surely gone, delete ${join(folder, LOCK_NAME)}`,
  );
}

function describeHolder({ pid, host, since }: Holder): string {
  return `process ${pid} on ${host} (since ${since})`;
}

/** Makes the file, whole, unless there is one. */
async function makeExclusively(folder: string, path: string, holder: Holder): Promise<boolean> {
  const draft = join(folder, `${LOCK_NAME}.${holder.id}.part`);
  return storing(path, async () => {
    try {
      await writeFile(draft, `${JSON.stringify(holder)}\n`, { flush: true });
      // A copy where the file system knows no second names; then a reader may find it half written, and refuse.
      await link(draft, path).catch((error: unknown) => {
        if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        return copyFile(draft, path, constants.COPYFILE_EXCL);
      });
      return true;
    } catch (error) {
      // There is one; or whoever has the lock has cleared away the draft.
      if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '') && existsSync(folder))
        return false;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
  });
}

async function release(folder: string, own: Holder): Promise<void> {
  const path = join(folder, LOCK_NAME);
  const holder = await readHolder(path, folder).catch(() => undefined);
  // One that cannot be removed does no harm: its process is about to be gone.
  if (holder?.id === own.id) await rm(path, { force: true }).catch(() => {});
}

/** Whether the process is there, as far as can be told: of another host it counts as there. */
function isHeld({ pid, host, processStart }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const start = processStartOf(pid);
  return processStart === null || start === null || start === processStart;
}

/** When a process began, in ticks since which boot; null where Linux's /proc does not say, `ended` of a zombie. */
function processStartOf(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // "pid (command) state ...", where the command may hold anything but comes in parentheses; starttime is field 22.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? 'ended' : `${boot} ${fields[19]!}`;
  } catch {
    return null;
  }
}
