/**
 * `node:fs/promises` of a process that is killed, or of a disk that is full, from the n-th operation on. What is forced to
 * disk is counted and not forced: tests do many runs.
 */
import type * as files from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

type Files = typeof files;

class Killed extends Error {}

const state = { numDone: 0, failAt: Infinity, how: 'killed' as FailureKind };

/** `torn`: killed in the middle of the first write from the n-th operation on. */
export type FailureKind = 'killed' | 'torn' | 'full';

/** Lets operations fail from the `failAt`-th on, counted from now. Returns whether it has come to that. */
export function failFrom(failAt: number, how: FailureKind): () => boolean {
  Object.assign(state, { numDone: 0, failAt, how });
  return () => state.numDone >= state.failAt;
}

export const failNever = (): void => void failFrom(Infinity, 'killed');

/** Before an operation: `takesRoom` on the disk or not. */
function enter(takesRoom: boolean): void {
  state.numDone++;
  if (state.numDone < state.failAt) return;
  if (state.how === 'killed') throw new Killed();
  // A dead process does nothing after its torn write.
  if (state.how === 'torn' && state.failAt === 0) throw new Killed();
  if (state.how === 'full' && takesRoom) {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }
}

/** Of a write that is torn: half of its bytes. */
function tornPart(bytes: Uint8Array | string): Uint8Array | undefined {
  if (state.how !== 'torn' || state.numDone < state.failAt) return undefined;
  state.failAt = 0;
  const whole = Buffer.from(bytes as Uint8Array);
  return whole.subarray(0, whole.length / 2);
}

function guarded<A extends unknown[], R>(action: (...args: A) => Promise<R>, takesRoom: boolean) {
  return async (...args: A): Promise<R> => {
    enter(takesRoom);
    return action(...args);
  };
}

export function failingFiles(real: Files): Files {
  const open = async (...args: Parameters<Files['open']>): Promise<FileHandle> => {
    // A lock is renewed in place, which takes no room.
    const isInPlace = typeof args[1] === 'number';
    enter(args[1] !== 'r' && !isInPlace);
    return failingHandle(await real.open(...args), isInPlace);
  };
  const writeFile = async (...args: Parameters<Files['writeFile']>): Promise<void> => {
    enter(true);
    const torn = tornPart(args[1] as string);
    await real.writeFile(args[0], torn ?? args[1]);
    if (torn) throw new Killed();
  };
  const changed = {
    open,
    writeFile,
    mkdir: guarded(real.mkdir as (...args: unknown[]) => Promise<unknown>, true),
    link: guarded(real.link, true),
    copyFile: guarded(real.copyFile, true),
    rename: guarded(real.rename, false),
    rm: guarded(real.rm, false),
    rmdir: guarded(real.rmdir, false),
    readdir: guarded(real.readdir as (...args: unknown[]) => Promise<unknown>, false),
    readFile: guarded(real.readFile as (...args: unknown[]) => Promise<unknown>, false),
  };
  return { ...real, ...changed } as unknown as Files;
}

function failingHandle(real: FileHandle, isInPlace: boolean): FileHandle {
  const write = async (bytes: Uint8Array, ...where: [number?]) => {
    enter(!isInPlace);
    const torn = isInPlace ? undefined : tornPart(bytes);
    const written = await real.write(torn ?? bytes, ...where);
    if (torn) throw new Killed();
    return written;
  };
  const flush = guarded(() => Promise.resolve(), false);
  const changed = {
    fd: real.fd,
    write,
    writeFile: (text: string) => write(Buffer.from(text)),
    sync: flush,
    datasync: flush,
    stat: async () => {
      enter(false);
      return real.stat();
    },
    truncate: async (length: number) => {
      enter(false);
      await real.truncate(length);
    },
    close: async () => {
      await real.close();
      enter(false);
    },
  };
  return changed as unknown as FileHandle;
}
