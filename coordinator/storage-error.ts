/** What a run's files may fail with: a disk that is full, a folder that has become read-only. */
import { describeSystemError } from '../protocol/system-errors.ts';

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

/** `isBegun`: whether there is a run already, which the user can go on with. */
export function asStorageError(path: string, error: unknown, isBegun = true): StorageError {
  const message = describeSystemError(path, 'written', error);
  return new StorageError(isBegun ? `${message}, then continue with --resume` : message, { cause: error });
}
