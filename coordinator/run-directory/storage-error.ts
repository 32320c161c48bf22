/** What a run's files may fail with: a disk that is full, a folder that has become read-only. */
import { describeSystemError } from '../../protocol/system-errors.ts';

/** A file of the run could not be written. Ends the run with exit code 1; what was written before is whole. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly code = 'ERR_STORAGE';
}

/** Runs `action`, which writes `path`; rejects with `StorageError`, worded, in place of the system's error. */
export async function storing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw asStorageError(path, error);
  }
}

/** The error of a write to `path`; one that is a `StorageError` already stays as it is. */
function asStorageError(path: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const message = `${describeSystemError(path, 'written', error)}, then continue with --resume`;
  return new StorageError(message, { cause: error });
}
