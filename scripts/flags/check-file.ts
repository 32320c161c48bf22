/** Files that a flag names and that are written later: whether they can be, found out before anything is done. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';

/** Throws `ConfigError`, naming the flag, when the folder of `path` is missing or cannot be written, or `path` is a folder. */
export function checkFileFolder(flagName: string, path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
      throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
  } catch (error) {
    throw new ConfigError(describeSystemError(`${flagName} ${path}`, 'written', error), { cause: error });
  }
}
