/** `gradsock baseline`: single-node mode. The same loop, with one worker session in this process and no sockets. */
import { Command } from 'commander';
import { addBaselineFlags } from '../flags/commands.ts';
import type { BaselineFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { train } from '../library/train.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';

const EXAMPLES = `
Examples:
  gradsock baseline --model dense --epochs 5
  gradsock baseline --model my-model.json --optimizer adamw --learning-rate 0.001`;

export function baselineCommand(): Command {
  const command = new Command('baseline').addHelpText('after', EXAMPLES);
  return addBaselineFlags(command).action(async (flags: BaselineFlags) => {
    const { runDir = true, ...options } = optionsGiven<BaselineFlags, TerminalFlag>(command, ...TERMINAL_FLAGS);
    const { callbacks } = onTerminal(flags);
    const { result } = await train({ ...options, ...callbacks, runDir, command: ownCommandLine() });
    process.exitCode = exitCodeOf(result);
  });
}
