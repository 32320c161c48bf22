/** What a command prints when its run has begun to listen. */
import type { RunEvent } from '../library/events.ts';
import { joinInstructions } from './join-instructions.ts';
import { keptTokenPath } from './token.ts';

export interface HowToJoinOptions {
  readonly joinFile: string | undefined;
  /** Workers that the program itself starts. Default: none. */
  readonly numLocal?: number;
  readonly line: (text: string) => void;
  /** Whether lines go to a terminal, where a new token may be shown. */
  readonly isTerminal: boolean;
}

/** Prints how workers join, for the person who starts them. */
export function sayHowToJoin(
  { urls, numWorkers, fingerprint, token, isTokenFresh, runDir }: Extract<RunEvent, { kind: 'listening' }>,
  { joinFile, numLocal = 0, line, isTerminal }: HowToJoinOptions,
): void {
  const isShown = isTokenFresh && isTerminal;
  const shownToken =
    token === undefined || runDir === undefined ? {} : { token: { text: token, isShown, path: keptTokenPath(runDir) } };
  const instructions = joinInstructions({
    ...{ numWorkers, numLocal, joinUrls: urls, fingerprint, joinFile },
    ...shownToken,
  });
  for (const text of instructions) line(text);
}
