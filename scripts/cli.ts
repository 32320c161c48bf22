#!/usr/bin/env node
/** The program `gradsock`, as a process. */
import './run/hide-token.ts';
import { outliveTerminal } from './output.ts';
import { runProgram } from './program.ts';

outliveTerminal();
await runProgram(process.argv.slice(2));
