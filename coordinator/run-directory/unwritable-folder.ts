/**
 * What to tell a user whose run directory cannot be made or written. Where the system refuses this process's user, the
 * message names that user and the folder's owner by their numbers: in a container neither has a name, and a volume often
 * belongs to another user than the one that the image runs as.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError, systemErrorMeaning } from '../../protocol/system-errors.ts';

/** The refusal of `--run-dir folder`, for an error of the system. */
export function unwritableFolder(folder: string, deed: 'made' | 'written', error: unknown): ConfigError {
  const subject = `--run-dir ${folder}`;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const nearest = nearestExisting(folder);
  const owner = code === 'EACCES' ? ownerOf(nearest) : undefined;
  const uid = process.geteuid?.();
  if (owner === undefined || uid === undefined || owner.uid === uid) {
    return new ConfigError(describeSystemError(subject, deed, error), { cause: error });
  }
  const { reason } = systemErrorMeaning(deed, error);
  return new ConfigError(
    `${subject}: cannot be ${deed}: ${reason}: ${nearest} belongs to user ${owner.uid} and group ${owner.gid}: ` +
      `run chown -R ${uid} ${nearest}, start this program as user ${owner.uid} ` +
      `(a container: --user ${owner.uid}:${owner.gid}), or name another folder`,
    { cause: error },
  );
}

/** The folder itself, or the one nearest above it that is there. */
export function nearestExisting(folder: string): string {
  let path = resolve(folder);
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

function ownerOf(path: string): { readonly uid: number; readonly gid: number } | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
