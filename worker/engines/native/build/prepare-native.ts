/**
 * Sees to it that this process has the native engine: the package's own build, or one in the user's cache, which is made
 * there on first use. Where one is there already this costs no more than to load it.
 */
import { statSync } from 'node:fs';
import { mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeError } from '../../../../protocol/errors.ts';
import { isSystemError, systemErrorMeaning } from '../../../../protocol/system-errors.ts';
import { NATIVE_OUTPUT, readBuildReport, reportPath } from '../build-output.ts';
import { availabilityIn, NO_COMPILER, nativeAvailability, RETRY_MINUTES, settleNative } from '../loader.ts';
import type { NativeRefusal } from '../loader.ts';
import { buildNative, SCRATCH_PREFIX } from './build-native.ts';
import { LockDeadlineError, takeBuildLock } from './build-lock.ts';
import type { LockTiming } from './build-lock.ts';
import { cachedBuilds } from './cached-build.ts';

/** What a build needs of a disk at most, object files included: three times what was seen. */
const BUILD_BYTES = 32 * 2 ** 20;

export interface PreparationOptions {
  /** What goes as it should, and what the user should know. Default: nobody is told. */
  readonly log?: (line: string) => void;
  readonly warn?: (line: string) => void;
  /** Ends a build, and the waiting for one; what was begun is taken back. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves when the engine is ready, or when it is known why it cannot be: `nativeAvailability` then says so. Several
 * processes that come at once make one build.
 *
 * Rejects with the signal's reason alone.
 */
export async function prepareNative(options: PreparationOptions = {}): Promise<void> {
  if (availabilityIn(NATIVE_OUTPUT).available) return;
  const builds = cachedBuilds();
  const { own } = builds ?? {};
  if (own !== undefined && availabilityIn(own).available) {
    settleNative();
    return;
  }
  const missing = builds === undefined ? NO_CACHE : NO_COMPILER;
  const refusal = own === undefined ? missing : await buildInCache(own, options);
  settleNative(refusal);
  const { warn = () => {} } = options;
  // The line that tells which engine is taken has that no compiler was found; it may be meant so.
  if (refusal && refusal !== NO_COMPILER && !nativeAvailability().available) {
    warn(`native engine: ${refusal.reason}; ${refusal.cure}`);
  }
}

const NO_CACHE: NativeRefusal = {
  reason: 'its kernels were not built: this user has no cache folder, or this package lacks their sources',
  cure: 'set XDG_CACHE_HOME to a folder that can be written, and see that gradsock is installed whole',
};

export interface BuildOptions extends PreparationOptions {
  readonly timing?: LockTiming;
  /** What must be free on the disk. */
  readonly minFreeBytes?: number;
}

/**
 * Builds into `folder` unless that has been done, or another process does it. Resolves with undefined when there is a
 * build, else with why there is none.
 *
 * Rejects with the signal's reason alone.
 */
export async function buildInCache(
  folder: string,
  { log = () => {}, signal, timing, minFreeBytes = BUILD_BYTES }: BuildOptions = {},
): Promise<NativeRefusal | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    const lock = await takeBuildLock(folder, {
      isDone: () => isSettled(folder),
      onWait: (holder) => log(`native engine: waiting for ${holder}, which compiles it into ${folder}`),
      signal,
      ...(timing && { timing }),
    });
    if (!lock) return refusalIn(folder);
    try {
      // Another process may have made it between the look and the lock.
      if (isSettled(folder)) return refusalIn(folder);
      await demandSpace(folder, minFreeBytes);
      log(`native engine: compiling it for this machine, which takes about half a minute, once; kept in ${folder}`);
      await removeScratch(folder);
      const { line } = await buildNative(folder, signal);
      log(`native engine: ${line}`);
      return refusalIn(folder);
    } finally {
      await lock.release().catch(() => {});
    }
  } catch (error) {
    signal?.throwIfAborted();
    return refusalOf(error, folder);
  }
}

/** Whether there is a build, or one has just failed. */
function isSettled(folder: string): boolean {
  const report = readBuildReport(folder);
  if (report?.status === 'built') return availabilityIn(folder).available;
  if (report?.status !== 'failed') return false;
  return Date.now() - statSync(reportPath(folder)).mtimeMs < RETRY_MINUTES * 60_000;
}

function refusalIn(folder: string): NativeRefusal | undefined {
  const found = availabilityIn(folder);
  return found.available ? undefined : found;
}

/** A full disk is known before compilers have worked for nothing. */
async function demandSpace(folder: string, numBytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  // Some file systems do not tell.
  if (blocks > 0 && bavail * bsize < numBytes) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
}

/** What processes left that were killed while they built. The caller holds the lock. */
async function removeScratch(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(SCRATCH_PREFIX)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function refusalOf(error: unknown, folder: string): NativeRefusal {
  if (error instanceof LockDeadlineError) {
    return { reason: `its kernels were not built: ${error.message}`, cure: `end that process, or delete ${folder}` };
  }
  if (!isSystemError(error)) {
    return { reason: `its kernels were not built: ${describeError(error)}`, cure: `delete ${folder} and start again` };
  }
  const { reason, cure = 'mend that' } = systemErrorMeaning('written', error);
  return {
    reason: `its kernels were not built: ${folder} cannot be written: ${reason}`,
    cure: `${cure}, or set XDG_CACHE_HOME to another folder, or run node ${BUILD_PROGRAM} as who may write there`,
  };
}

/** Builds into the package's own folder. */
const BUILD_PROGRAM = fileURLToPath(new URL('../../../../scripts/build-native.js', import.meta.url));
