/** Files that a flag names and that are written later: whether they can be, found out before anything is done. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError, describeError } from '../protocol/errors.ts';

/** Throws `ConfigError`, naming the flag, when the folder of `path` is missing or cannot be written, or `path` is a folder. */
export function checkFileFolder(flagName: string, path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw new Error('EISDIR: it is a folder');
  } catch (error) {
    throw new ConfigError(`${flagName} ${path}: cannot be written: ${describeError(error)}: name another file`);
  }
}
