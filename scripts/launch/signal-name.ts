/** The names of signals by the exit codes that a shell makes of them. */
import { constants } from 'node:os';

const SHELL_OFFSET = 128;

/** "SIGKILL" of 137; undefined of a code that no signal has. */
export function signalName(exitCode: number): string | undefined {
  const number = exitCode - SHELL_OFFSET;
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}
