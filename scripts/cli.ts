#!/usr/bin/env node
/** The program: its subcommands, and what its errors look like from outside. */
import './hide-token.ts';
import { Command, CommanderError } from 'commander';
import { StorageError } from '../coordinator/storage-error.ts';
import { ConfigError, printableLines, ProtocolError } from '../protocol/errors.ts';
import { baselineCommand } from './commands/baseline.ts';
import { coordinatorCommand } from './commands/coordinator.ts';
import { dataCommand } from './commands/data.ts';
import { enginesCommand } from './commands/engines.ts';
import { sweepCommand } from './commands/sweep.ts';
import { trainCommand } from './commands/train.ts';
import { workerCommand } from './commands/worker.ts';
import { EXIT, Interruption, packageVersion } from './process.ts';

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
  } else if (error instanceof ConfigError || error instanceof ProtocolError || error instanceof StorageError) {
    process.stderr.write(`error: ${printableLines(error.message)}\n`);
    process.exitCode = error instanceof ConfigError ? EXIT.usage : EXIT.failed;
  } else if (error instanceof Interruption) {
    process.exitCode = EXIT.interrupted;
  } else {
    throw error;
  }
}

/** Usage errors are thrown, for one place to give them their exit code. */
function exitWithUsageCode(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) exitWithUsageCode(subcommand);
}
