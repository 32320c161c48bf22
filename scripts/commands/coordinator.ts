/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import { addCoordinatorFlags } from '../flags/commands.ts';
import type { CoordinatorFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { startCoordinator } from '../library/coordinator.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { sayHowToJoin } from '../run/say-how-to-join.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';
import { givenToken } from '../run/token.ts';

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
        if (event.kind === 'listening')
          sayHowToJoin(event, { joinFile: flags.joinFile, line, isTerminal: stream.isTTY });
      },
    });
    const { result } = await finished;
    process.exitCode = exitCodeOf(result);
  });
}
