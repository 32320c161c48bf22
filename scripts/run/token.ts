/** Where a run's token comes from: a file, the environment, or chance. Its value is in no message here. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Option } from 'commander';
import { storing } from '../../coordinator/run-directory/storage-error.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { readTextFile } from '../../protocol/text-files.ts';
import { createToken, isToken, MIN_TOKEN_LENGTH } from '../../protocol/wire/authentication.ts';
import { flag } from '../flags/run-flags.ts';

/** Environment variables that name a token, or where it is, or say that there is none. */
export const TOKEN_VARIABLE = 'GRADSOCK_TOKEN';
export const TOKEN_FILE_VARIABLE = 'GRADSOCK_TOKEN_FILE';
export const NO_TOKEN_VARIABLE = 'GRADSOCK_NO_TOKEN';

const KEPT_TOKEN_FILE = 'token';
const VIEW_KEY_FILE = 'view-key';

export interface TokenFlags {
  tokenFile?: string;
}

export function tokenFileFlag(): Option {
  return flag('--token-file <path>', `file with the run's token. Default: the token in $${TOKEN_VARIABLE}`);
}

/**
 * The token that the user has given, if any, in a file or in the environment, from which it is taken. Throws `ConfigError`
 * for one that is none, or too short.
 */
export function givenToken(flags: TokenFlags): string | undefined {
  const inFile = tokenInFile(flags);
  if (inFile !== undefined) return inFile;
  const variable = takeVariable();
  return variable === undefined ? undefined : checkToken(variable, `$${TOKEN_VARIABLE}`);
}

/** The token in the file that was named, if one was. Throws `ConfigError` as {@link givenToken}. */
export function tokenInFile({ tokenFile }: TokenFlags): string | undefined {
  if (tokenFile === undefined) return undefined;
  return checkToken(readLine('--token-file', tokenFile), `--token-file ${tokenFile}`);
}

export interface RunToken {
  readonly token: string;
  /** Made here and now: nobody else knows it yet. */
  readonly isFresh: boolean;
}

/**
 * The token of a run that is started here: the given one, or a fresh one; of a run that is resumed, the one that it had,
 * so that workers which wait for it may join again.
 */
export function runToken(given: string | undefined, resumedDir?: string): RunToken {
  const known = given ?? (resumedDir === undefined ? undefined : keptToken(resumedDir));
  return known === undefined ? { token: createToken(), isFresh: true } : { token: known, isFresh: false };
}

/** Where a run's token is kept: in its directory. */
export function keptTokenPath(runDir: string): string {
  return join(runDir, KEPT_TOKEN_FILE);
}

/** Keeps a run's token in its directory, in a file that only its owner can read. */
export async function keepToken(runDir: string, token: string): Promise<void> {
  const path = keptTokenPath(runDir);
  await storing(path, () => writeFileAtomically(path, `${token}\n`, 0o600));
}

/** Keeps the key with which a run can be looked at, see `view-access.ts`, as the token is kept. */
export async function keepViewKey(runDir: string, viewKey: string): Promise<void> {
  const path = join(runDir, VIEW_KEY_FILE);
  await storing(path, () => writeFileAtomically(path, `${viewKey}\n`, 0o600));
}

function keptToken(runDir: string): string | undefined {
  const path = keptTokenPath(runDir);
  return existsSync(path) ? checkToken(readLine('--resume', path), path) : undefined;
}

/** Reads the variable once: what this process starts does not inherit it. */
function takeVariable(): string | undefined {
  const value = process.env[TOKEN_VARIABLE];
  Reflect.deleteProperty(process.env, TOKEN_VARIABLE);
  return value === '' ? undefined : value;
}

/** Throws `ConfigError`, which does not show it, for a text that is no token. `where` begins the message. */
export function checkToken(token: string, where: string): string {
  if (isToken(token)) return token;
  throw new ConfigError(
    `${where}: not a token: expected ${MIN_TOKEN_LENGTH} to 200 letters, digits, - and _, got ${token.length} ` +
      'characters: `openssl rand -hex 32` makes one',
  );
}

function readLine(flagName: string, path: string): string {
  return readTextFile(`${flagName} ${path}`, path).trim();
}
