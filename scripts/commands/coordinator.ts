/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import { addCoordinatorFlags } from '../flags/commands.ts';
import type { CoordinatorFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { startCoordinator } from '../library/coordinator.ts';
import type { Listening } from '../library/events.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { joinInstructions } from '../run/join-instructions.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';
import { givenToken, keptTokenPath } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock coordinator --workers 2
  gradsock coordinator --listen 0.0.0.0:7878 --workers 4 --join-file /shared/join`;

export function coordinatorCommand(): Command {
  const command = new Command('coordinator').addHelpText('after', EXAMPLES);
  return addCoordinatorFlags(command).action(async (flags: CoordinatorFlags) => {
    const given = optionsGiven<CoordinatorFlags, TerminalFlag | 'tokenFile'>(command, ...TERMINAL_FLAGS, 'tokenFile');
    const { runDir = true, dashboard = true, token: mayHaveToken, ...options } = given;
    const token = mayHaveToken === false ? false : givenToken(flags);
    const { callbacks, line, stream } = onTerminal(flags);
    const { finished } = await startCoordinator({
      ...{ ...options, ...callbacks, runDir, dashboard, token },
      command: ownCommandLine(),
      onEvent(event) {
        callbacks.onEvent(event);
        if (event.kind === 'listening') sayHowToJoin(event, flags.joinFile, { line, isTerminal: stream.isTTY });
      },
    });
    const { result } = await finished;
    process.exitCode = exitCodeOf(result);
  });
}

/** For anyone who starts the workers. */
function sayHowToJoin(
  { urls, numWorkers, fingerprint, token, isTokenFresh, runDir }: Listening & { readonly runDir: string | undefined },
  joinFile: string | undefined,
  { line, isTerminal }: { readonly line: (text: string) => void; readonly isTerminal: boolean },
): void {
  const isShown = isTokenFresh && isTerminal;
  const shownToken =
    token === undefined || runDir === undefined ? {} : { token: { text: token, isShown, path: keptTokenPath(runDir) } };
  const instructions = joinInstructions({ numWorkers, joinUrls: urls, fingerprint, joinFile, ...shownToken });
  for (const text of instructions) line(text);
}
