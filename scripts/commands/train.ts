/** `gradsock train`: a coordinator and N local worker processes, in one command. */
import { Command } from 'commander';
import { addTrainFlags } from '../flags/commands.ts';
import type { TrainFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { train } from '../library/train.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';
import { givenToken } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock train --model conv --epochs 5
  gradsock train --workers 4 --recipe best --run-dir runs/best`;

export function trainCommand(): Command {
  const command = new Command('train').addHelpText('after', EXAMPLES);
  return addTrainFlags(command).action(async (flags: TrainFlags) => {
    const given = optionsGiven<TrainFlags, TerminalFlag>(command, ...TERMINAL_FLAGS);
    const { workers = 'auto', runDir = true, dashboard = true, ...options } = given;
    const token = givenToken({});
    const { callbacks } = onTerminal(flags);
    const { result } = await train({
      ...{ ...options, ...callbacks, workers, runDir, dashboard, token },
      command: ownCommandLine(),
    });
    process.exitCode = exitCodeOf(result);
  });
}
