/** The program in the test's own process: for commands that end by themselves, in a tenth of the time of a process. */
import { vi } from 'vitest';
import { runProgram } from '../../scripts/program.ts';
import { NO_REPORT } from './cli.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'] as const;

/**
 * Runs `gradsock ARGS` to its end, with these environment variables besides the test's. Returns its exit code and what it
 * wrote to both streams, without the last line's end. One at a time.
 */
export async function runInProcess(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  let output = '';
  const write = (text: string | Uint8Array) => {
    output += String(text);
    return true;
  };
  const streams = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockImplementation(write));
  const before = SIGNALS.map((signal) => process.listeners(signal as 'SIGINT'));
  const { exitCode } = process;
  const mostListeners = process.getMaxListeners();
  process.setMaxListeners(0);
  for (const [name, value] of Object.entries({ ...NO_REPORT, ...env })) vi.stubEnv(name, value);
  try {
    process.exitCode = 0;
    await runProgram(args);
    return { code: process.exitCode, output: output.trimEnd() };
  } finally {
    vi.unstubAllEnvs();
    process.exitCode = exitCode;
    for (const [nth, signal] of SIGNALS.entries()) {
      for (const listener of process.listeners(signal as 'SIGINT')) {
        if (!before[nth]!.includes(listener)) process.off(signal, listener);
      }
    }
    process.setMaxListeners(mostListeners);
    for (const stream of streams) stream.mockRestore();
  }
}
