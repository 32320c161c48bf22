/** Text files that users write: read in the encodings that editors and shells leave, refused in sentences. */
import { readFileSync } from 'node:fs';
import { ConfigError, describeError } from './errors.ts';
import { describeSystemError } from './system-errors.ts';

/**
 * The text of a file, without a byte-order mark: UTF-8, or UTF-16 where a mark says so, as PowerShell's `>` writes it.
 *
 * `subject` begins the message: the path, after the flag that names it where one does. Throws `ConfigError` with the
 * reason and the cure when the file cannot be read.
 */
export function readTextFile(subject: string, path: string): string {
  try {
    return decodeText(readFileSync(path));
  } catch (error) {
    throw new ConfigError(describeSystemError(subject, 'read', error), { cause: error });
  }
}

/**
 * What a JSON file holds, read like any text. Throws `ConfigError` when it cannot be read or is no JSON; `cure` then says
 * what to do.
 */
export function readJsonFile(subject: string, path: string, cure = 'mend the file, or name another'): unknown {
  const text = readTextFile(subject, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${subject}: expected JSON, got something else (${describeError(error)}): ${cure}`, {
      cause: error,
    });
  }
}

/** The decoder drops the mark that names its encoding. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return new TextDecoder(isUtf16 ? (first === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8').decode(bytes);
}
