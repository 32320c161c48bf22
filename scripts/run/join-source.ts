/** Where a worker learns what to join, and the token: command line, standard input, a file, the environment, a prompt. */
import type { Readable } from 'node:stream';
import { ConfigError } from '../../protocol/errors.ts';
import { isToken } from '../../protocol/wire/authentication.ts';
import { isWebSocketUrl, splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { urlsOf } from '../../worker/connection/join-target.ts';
import type { Announcement } from '../../protocol/wire/discovery.ts';
import type { DiscoverOptions } from '../../worker/connection/discover.ts';
import type { JoinTarget, TargetSource } from '../../worker/connection/join-target.ts';
import { readJoinFile } from './join-file.ts';
import { readFirstLine } from './read-line.ts';
import { checkToken, givenToken, TOKEN_VARIABLE } from './token.ts';
import type { TokenFlags } from './token.ts';

export interface JoinFlags extends TokenFlags {
  joinFile?: string;
  joinStdin: boolean;
  /** The name to find by mDNS; empty: whichever there is. */
  discover?: string;
  /** False with --no-token. */
  token?: boolean;
  /** Seconds. */
  wait: number;
}

export interface JoinContext {
  /** Begins messages. */
  readonly command: 'worker' | 'doctor';
  readonly stdin: Readable;
  /** Whether a flag was given on the command line, rather than by the environment. */
  readonly isOnCommandLine: (flag: 'joinFile' | 'joinStdin' | 'discover') => boolean;
  /** Asks the user for a token, empty for none; undefined where there is no terminal. */
  readonly ask: ((url: string) => Promise<string>) | undefined;
  readonly warn: (line: string) => void;
  /** Replaced by tests. Default: asks the network. */
  readonly discover?: (options: DiscoverOptions) => Promise<Announcement>;
}

/**
 * A run to join: at a URL, or at one of several of its coordinator, or at those that a file holds. Where `token` is false,
 * no URL may have one.
 */
export type JoinPlace = { readonly token: string | false | undefined } & (
  { readonly url: string | readonly string[] } | { readonly joinFile: string }
);

/** Throws `ConfigError`, in which no token is shown, for a URL that is no join URL. A URL's own token comes first. */
export function sourceOf(place: JoinPlace): TargetSource {
  if ('url' in place) {
    const urls = [place.url].flat();
    return constant(targetOf(urls, nameOf(urls), place.token));
  }
  const { joinFile, token } = place;
  return {
    what: `the join file ${joinFile}`,
    canChange: true,
    read: () => targetOf(wordsOf(readJoinFile(joinFile)), `--join-file ${joinFile}`, token),
  };
}

/**
 * What a worker joins: URLs of its coordinator from its command line, the first line of standard input, or a join file, in
 * this order. A URL's own token comes before that of a file, of the environment and of the prompt.
 *
 * Rejects with `ConfigError`, in which no token is shown, when there is none or more than one on the command line, or for
 * what is no join URL.
 */
export async function joinSourceOf(
  joinUrls: readonly string[],
  flags: JoinFlags,
  context: JoinContext,
): Promise<JoinPlace> {
  const { joinFile, joinStdin } = flags;
  refuseSeveral(joinUrls, context);
  const given = flags.token === false ? false : givenToken(flags);
  if (joinUrls.length > 0) return fromCommandLine(joinUrls, given, context);
  if (joinStdin) {
    const line = await readFirstLine(context.stdin, '--join-stdin', flags.wait * 1000);
    return placeOf(targetOf(wordsOf(line), '--join-stdin', given));
  }
  if (flags.discover !== undefined && !context.isOnCommandLine('joinFile')) {
    return discovered(flags.discover, flags.wait, given, context);
  }
  if (joinFile === undefined) {
    const ways = 'give the URL that the coordinator printed, --join-file, --join-stdin or --discover';
    throw new ConfigError(`${context.command}: nothing to join: ${ways}`);
  }
  return { joinFile, token: given };
}

/** A coordinator that has announced itself. Which one it is, its proof of the token tells. */
async function discovered(
  name: string,
  waitSeconds: number,
  given: string | false | undefined,
  { ask, warn, discover }: JoinContext,
): Promise<JoinPlace> {
  const find = discover ?? (await import('../../worker/connection/discover.ts')).discover;
  const found = await find({ name: name === '' ? undefined : name, patienceMs: 1000 * waitSeconds, say: warn });
  warn(`found ${found.name} (gradsock ${found.version}) at ${found.urls.join(' or ')}`);
  return withAnswer(targetOf(found.urls, '--discover', given), given, ask);
}

/** A line or a file names one coordinator by several URLs with spaces or line ends between them. */
const wordsOf = (text: string): readonly string[] => text.split(/\s+/);

function placeOf(target: JoinTarget): JoinPlace {
  const urls = urlsOf(target);
  return { url: urls.length === 1 ? target.url : urls, token: target.token };
}

function refuseSeveral(joinUrls: readonly string[], { command, isOnCommandLine }: JoinContext): void {
  const given = [
    ...(joinUrls.length === 0 ? [] : ['a URL']),
    ...(isOnCommandLine('joinStdin') ? ['--join-stdin'] : []),
    ...(isOnCommandLine('joinFile') ? ['--join-file'] : []),
    ...(isOnCommandLine('discover') ? ['--discover'] : []),
  ];
  if (given.length > 1)
    throw new ConfigError(`${command}: expected one run to join, got ${given.join(' and ')}: give one`);
}

async function fromCommandLine(
  joinUrls: readonly string[],
  given: string | false | undefined,
  { ask, warn }: JoinContext,
): Promise<JoinPlace> {
  const target = targetOf(joinUrls, nameOf(joinUrls), given);
  if (joinUrls.some((joinUrl) => splitJoinUrl(joinUrl).token !== undefined)) {
    warn(
      'warning: process lists, the log of npm and the history of a shell show a token in a command line: give the URL ' +
        `without it, and the token at the prompt, by $${TOKEN_VARIABLE}, --token-file, --join-file or --join-stdin`,
    );
  }
  return withAnswer(target, given, ask);
}

/** With the token that the user enters, where none is known. */
async function withAnswer(
  target: JoinTarget,
  given: string | false | undefined,
  ask: JoinContext['ask'],
): Promise<JoinPlace> {
  if (target.token !== undefined || given === false || !ask) return placeOf(target);
  const entered = await ask(target.url);
  return placeOf({ ...target, token: entered === '' ? undefined : checkToken(entered, 'what was entered') });
}

/** For messages: a token alone is not shown. */
function nameOf(joinUrls: readonly string[]): string {
  return joinUrls.some(isToken) ? 'worker' : joinUrls.map((joinUrl) => splitJoinUrl(joinUrl).url).join(' ');
}

function constant(target: JoinTarget): TargetSource {
  return { what: urlsOf(target).join(' or '), canChange: false, read: () => target };
}

/** The parts of a coordinator's join URLs; `where` begins the messages, which do not show them: one may be a token. */
function targetOf(joinUrls: readonly string[], where: string, given: string | false | undefined): JoinTarget {
  const parts = joinUrls.map(splitJoinUrl);
  if (parts.length === 0 || !parts.every(({ url }) => isWebSocketUrl(url))) {
    throw new ConfigError(`${where}: not a join URL: expected ws://HOST:PORT or wss://, as the coordinator printed it`);
  }
  const [url, ...others] = [...new Set(parts.map((part) => part.url))];
  const at = { url: url!, ...(others.length > 0 && { otherUrls: others }) };
  const [token, ...otherTokens] = new Set(parts.flatMap((part) => part.token ?? []));
  if (otherTokens.length > 0) {
    throw new ConfigError(`${where}: expected one token, got several: the URLs must be those of one coordinator`);
  }
  if (token === undefined) return { ...at, token: given === false ? undefined : given };
  if (given === false) {
    throw new ConfigError(`${where}: expected a URL without #TOKEN, as --no-token says: leave out one of them`);
  }
  return { ...at, token: checkToken(token, `${where}: its #token`) };
}
