#!/usr/bin/env node
/** The program: its subcommands, and what its errors look like from outside. */
import './hide-token.ts';
import { Command, CommanderError } from 'commander';
import { baselineCommand } from './commands/baseline.ts';
import { coordinatorCommand } from './commands/coordinator.ts';
import { dataCommand } from './commands/data.ts';
import { enginesCommand } from './commands/engines.ts';
import { sweepCommand } from './commands/sweep.ts';
import { trainCommand } from './commands/train.ts';
import { workerCommand } from './commands/worker.ts';
import { EXIT, packageVersion, reportFailure } from './process.ts';

const program = new Command('gradsock')
  .description('Trains neural networks by synchronous data parallelism over WebSockets.')
  .version(packageVersion());
const commands = [
  trainCommand,
  baselineCommand,
  coordinatorCommand,
  workerCommand,
  dataCommand,
  enginesCommand,
  sweepCommand,
];
for (const create of commands) program.addCommand(create());
exitWithUsageCode(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    reportFailure(error);
  }
}

/** Usage errors are thrown, for one place to give them their exit code. */
function exitWithUsageCode(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) exitWithUsageCode(subcommand);
}
