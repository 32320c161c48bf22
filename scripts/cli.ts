#!/usr/bin/env node
/** Runs the program, and gives its errors their looks from outside: a sentence and an exit code. */
import './hide-token.ts';
import { CommanderError } from 'commander';
import { StorageError } from '../coordinator/storage-error.ts';
import { ConfigError, printableLines, ProtocolError } from '../protocol/errors.ts';
import { outliveTerminal } from './output.ts';
import { EXIT, Interruption } from './process.ts';
import { createProgram } from './program.ts';

outliveTerminal();
try {
  await createProgram().parseAsync();
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
