#!/usr/bin/env node
/** The program `gradsock`, as a process. */
import './run/hide-token.ts';
import { outliveTerminal } from './output.ts';
import { endOnSignals, EXIT } from './process.ts';
import { runProgram } from './program.ts';

/** What an interrupted command leaves under way, such as the reading of data, has this long to end. */
const LEFTOVERS_MS = 1000;

endOnSignals();
outliveTerminal();
await runProgram(process.argv.slice(2));
if (process.exitCode === EXIT.interrupted) setTimeout(() => process.exit(), LEFTOVERS_MS).unref();
