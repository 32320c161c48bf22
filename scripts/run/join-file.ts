/**
 * The join file: through it a coordinator tells workers where to join, and the token. For its owner's eyes only.
 *
 *     ws://192.0.2.10:7878/#TOKEN      the likeliest address, with the token
 *     ws://[2001:db8::10]:7878         the coordinator's other addresses, one a line; often there are none
 *
 * The first line alone is enough to join.
 */
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { decodeText } from '../../protocol/text-files.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { NotYet } from '../../worker/connection/waiting.ts';

/** Permissions of a file that holds a token. */
const OWNER_ONLY = 0o600;

/** The file's text. `otherUrls`: without a token. */
export function joinFileText(joinUrl: string, otherUrls: readonly string[]): string {
  return `${[joinUrl, ...otherUrls].join('\n')}\n`;
}

/** Throws `ConfigError` when it cannot be written. */
export async function writeJoinFile(path: string, text: string): Promise<void> {
  try {
    await writeFileAtomically(path, text, OWNER_ONLY);
  } catch (error) {
    throw new ConfigError(describeSystemError(`--join-file ${path}`, 'written', error), { cause: error });
  }
}

/**
 * Removes the file at the end of the run that wrote `text` into it, so that no later worker believes it; one that another
 * coordinator has written over it stays. `warn` is told when the file cannot be removed.
 */
export async function removeJoinFile(path: string, text: string, warn: (line: string) => void): Promise<void> {
  try {
    if ((await readFile(path, 'utf8')) === text) await rm(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    warn(`--join-file ${path}: cannot be removed: ${describeError(error)}: remove it before another run`);
  }
}

/** What the file holds, without spaces around it. Throws `NotYet` while there is none, `ConfigError` when it cannot be read. */
export function readJoinFile(path: string): string {
  const missing = (why: string) =>
    new NotYet(`the join file ${path}`, why, `start the coordinator with --join-file ${path}`);
  let text: string;
  try {
    text = decodeText(readFileSync(path)).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw missing('it is not there');
    throw new ConfigError(describeSystemError(`--join-file ${path}`, 'read', error), { cause: error });
  }
  if (text === '') throw missing('it is empty');
  return text;
}
