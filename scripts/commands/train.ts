/** `gradsock train`: a coordinator and local worker processes, in one command; with `--listen` also workers of other machines. */
import { Command } from 'commander';
import { addTrainFlags, OF_LISTENING } from '../flags/commands.ts';
import type { TrainFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { train } from '../library/train.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';
import { sayHowToJoin } from '../run/say-how-to-join.ts';
import { givenToken } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock train --model conv --epochs 5
  gradsock train --recipe best --listen 0.0.0.0:7878 --max-workers 8`;

export function trainCommand(): Command {
  const command = new Command('train').addHelpText('after', EXAMPLES);
  return addTrainFlags(command).action(async (flags: TrainFlags) => {
    if (flags.listen === undefined) forgetEnvironment(command);
    const given = optionsGiven<TrainFlags, TerminalFlag | 'tokenFile'>(command, ...TERMINAL_FLAGS, 'tokenFile');
    const { workers = 'auto', runDir = true, dashboard = true, token: mayHaveToken, ...options } = given;
    const { callbacks, line, stream } = onTerminal(flags);
    const { result } = await train({
      ...{ ...options, ...callbacks, workers, runDir, dashboard },
      token: mayHaveToken === false ? false : givenToken(command.opts<TrainFlags>()),
      command: ownCommandLine(),
      onEvent(event) {
        callbacks.onEvent(event);
        if (event.kind !== 'listening') return;
        sayHowToJoin(event, { joinFile: flags.joinFile, numLocal: flags.workers, line, isTerminal: stream.isTTY });
      },
    });
    process.exitCode = exitCodeOf(result);
  });
}

/** Variables such as `$GRADSOCK_JOIN_FILE` are often those of other commands in the same shell: without a port they say nothing. */
function forgetEnvironment(command: Command): void {
  for (const name of OF_LISTENING) {
    if (command.getOptionValueSource(name) !== 'env') continue;
    const option = command.options.find((candidate) => candidate.attributeName() === name);
    command.setOptionValueWithSource(name, option?.defaultValue as unknown, 'default');
  }
}
