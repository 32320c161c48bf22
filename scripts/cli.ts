#!/usr/bin/env node
/** Runs the program, and gives its errors their looks from outside: a sentence and an exit code. */
import './run/hide-token.ts';
import { CommanderError } from 'commander';
import { outliveTerminal } from './output.ts';
import { EXIT, reportFailure } from './process.ts';
import { createProgram } from './program.ts';

outliveTerminal();
try {
  const program = await createProgram(process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    reportFailure(error);
  }
}
