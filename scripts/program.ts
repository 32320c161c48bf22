/** The program: its subcommands, and the rules that hold for all of them. */
import { Command } from 'commander';
import { baselineCommand } from './commands/baseline.ts';
import { coordinatorCommand } from './commands/coordinator.ts';
import { dataCommand } from './commands/data.ts';
import { enginesCommand } from './commands/engines.ts';
import { sweepCommand } from './commands/sweep.ts';
import { trainCommand } from './commands/train.ts';
import { workerCommand } from './commands/worker.ts';
import { readVariablesOf } from './flags/environment.ts';
import { packageVersion } from './process.ts';

const COMMANDS = [
  trainCommand,
  baselineCommand,
  coordinatorCommand,
  workerCommand,
  dataCommand,
  enginesCommand,
  sweepCommand,
];

/** Parsing it carries out the command that the arguments name; usage errors are thrown, as `CommanderError`. */
export function createProgram(): Command {
  const program = new Command('gradsock')
    .description('Trains neural networks by synchronous data parallelism over WebSockets.')
    .version(packageVersion());
  for (const create of COMMANDS) program.addCommand(create());
  readVariablesOf(program);
  throwUsageErrors(program);
  return program;
}

/** For one place to give them their exit code. */
function throwUsageErrors(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) throwUsageErrors(subcommand);
}
