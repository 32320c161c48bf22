/** Where a worker learns what to join, and the token: command line, standard input, a file, the environment, a prompt. */
import type { Readable } from 'node:stream';
import { ConfigError } from '../../protocol/errors.ts';
import { isToken } from '../../protocol/wire/authentication.ts';
import { isWebSocketUrl, splitJoinUrl } from '../../protocol/wire/join-url.ts';
import type { JoinTarget, TargetSource } from '../../worker/connection/join-target.ts';
import { readJoinFile } from './join-file.ts';
import { readFirstLine } from './read-line.ts';
import { checkToken, givenToken, TOKEN_VARIABLE } from './token.ts';
import type { TokenFlags } from './token.ts';

export interface JoinFlags extends TokenFlags {
  joinFile?: string;
  joinStdin: boolean;
  /** False with --no-token. */
  token?: boolean;
  /** Seconds. */
  wait: number;
}

export interface JoinContext {
  readonly stdin: Readable;
  /** Whether a flag was given on the command line, rather than by the environment. */
  readonly isOnCommandLine: (flag: 'joinFile' | 'joinStdin') => boolean;
  /** Asks the user for a token, empty for none; undefined where there is no terminal. */
  readonly ask: ((url: string) => Promise<string>) | undefined;
  readonly warn: (line: string) => void;
}

/** A run to join: at a URL, or at the one that a file holds. Where `token` is false, the URL must not have one. */
export type JoinPlace = { readonly token: string | false | undefined } & (
  { readonly url: string } | { readonly joinFile: string }
);

/** Throws `ConfigError`, in which no token is shown, for a URL that is no join URL. A URL's own token comes first. */
export function sourceOf(place: JoinPlace): TargetSource {
  if ('url' in place) return constant(targetOf(place.url, nameOf(place.url), place.token));
  const { joinFile, token } = place;
  return {
    what: `the join file ${joinFile}`,
    canChange: true,
    read: () => targetOf(readJoinFile(joinFile), `--join-file ${joinFile}`, token),
  };
}

/**
 * What a worker joins: `joinUrl` from its command line, the first line of standard input, or a join file, in this order.
 * A URL's own token comes before that of a file, of the environment and of the prompt.
 *
 * Rejects with `ConfigError`, in which no token is shown, when there is none or more than one on the command line, or for
 * what is no join URL.
 */
export async function joinSourceOf(
  joinUrl: string | undefined,
  flags: JoinFlags,
  context: JoinContext,
): Promise<JoinPlace> {
  const { joinFile, joinStdin } = flags;
  refuseSeveral(joinUrl, context);
  const given = flags.token === false ? false : givenToken(flags);
  if (joinUrl !== undefined) return fromCommandLine(joinUrl, given, context);
  if (joinStdin) {
    const line = await readFirstLine(context.stdin, '--join-stdin', flags.wait * 1000);
    return targetOf(line, '--join-stdin', given);
  }
  if (joinFile === undefined) {
    const ways = 'give the URL that the coordinator printed, --join-file or --join-stdin';
    throw new ConfigError(`worker: nothing to join: ${ways}`);
  }
  return { joinFile, token: given };
}

function refuseSeveral(joinUrl: string | undefined, { isOnCommandLine }: JoinContext): void {
  const given = [
    ...(joinUrl === undefined ? [] : ['a URL']),
    ...(isOnCommandLine('joinStdin') ? ['--join-stdin'] : []),
    ...(isOnCommandLine('joinFile') ? ['--join-file'] : []),
  ];
  if (given.length > 1) throw new ConfigError(`worker: expected one run to join, got ${given.join(' and ')}: give one`);
}

async function fromCommandLine(
  joinUrl: string,
  given: string | false | undefined,
  { ask, warn }: JoinContext,
): Promise<JoinPlace> {
  const target = targetOf(joinUrl, nameOf(joinUrl), given);
  if (splitJoinUrl(joinUrl).token !== undefined) {
    warn(
      'warning: process lists, the log of npm and the history of a shell show a token in a command line: give the URL ' +
        `without it, and the token at the prompt, by $${TOKEN_VARIABLE}, --token-file, --join-file or --join-stdin`,
    );
  }
  if (target.token !== undefined || given === false || !ask) return target;
  const entered = await ask(target.url);
  return { ...target, token: entered === '' ? undefined : checkToken(entered, 'what was entered') };
}

/** For messages: a token alone is not shown. */
const nameOf = (joinUrl: string): string => (isToken(joinUrl) ? 'worker' : splitJoinUrl(joinUrl).url);

function constant(target: JoinTarget): TargetSource {
  return { what: target.url, canChange: false, read: () => target };
}

/** The parts of a join URL; `where` begins the messages, which do not show it: it may be a token. */
function targetOf(joinUrl: string, where: string, given: string | false | undefined): JoinTarget {
  const { url, token } = splitJoinUrl(joinUrl);
  if (!isWebSocketUrl(url)) {
    throw new ConfigError(`${where}: not a join URL: expected ws://HOST:PORT or wss://, as the coordinator printed it`);
  }
  if (token === undefined) return { url, token: given === false ? undefined : given };
  if (given === false) {
    throw new ConfigError(`${where}: expected a URL without #TOKEN, as --no-token says: leave out one of them`);
  }
  return { url, token: checkToken(token, `${where}: its #token`) };
}
