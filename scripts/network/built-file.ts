/** Files of the built program, for processes that are started: also where this code runs from its sources. */
import { fileURLToPath } from 'node:url';

const SCRIPTS = new URL(import.meta.url.endsWith('.ts') ? '../../dist/scripts/' : '../', import.meta.url);

/** `path`: below scripts/, such as "cli.js". */
export const builtFile = (path: string): string => fileURLToPath(new URL(path, SCRIPTS));

/** The program that a user calls as `gradsock`. */
export const PROGRAM = builtFile('cli.js');
