/** What every command of the program shares: exit codes, interruption, and the record of what was run. */
import { readFileSync } from 'node:fs';
import { arch, cpus, release, type } from 'node:os';
import { ConfigError, describeError, printableLines, ProtocolError } from '../protocol/errors.ts';
import { describeStraySystemError, isSystemError } from '../protocol/system-errors.ts';
import type { RunResult } from '../coordinator/reporting/reporter.ts';
import { StorageError } from '../coordinator/run-directory/storage-error.ts';
import { onHangup, outliveTerminal } from './output.ts';
import { withoutSecrets } from './run/without-secrets.ts';
import type { Output } from './output.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The reason of an aborted signal when the user interrupted the program. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
}

const END_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const endAtOnce = (): never => process.exit(EXIT.interrupted);

/**
 * Has SIGINT and SIGTERM end this process with the exit code of an interruption, until the command has a better answer. The
 * first process of a container ignores signals that it does not handle.
 */
export function endOnSignals(): void {
  for (const signal of END_SIGNALS) process.on(signal, endAtOnce);
}

/** Takes back what {@link endOnSignals} has set up. */
export function stopEndingOnSignals(): void {
  for (const signal of END_SIGNALS) process.off(signal, endAtOnce);
}

/**
 * A signal that the first SIGINT or SIGTERM aborts; a SIGINT after that ends the process on the spot. A SIGTERM after that
 * changes nothing: schedulers send it to a whole job, and launchers pass it on to the same processes. SIGHUP counts once,
 * where `output` is a terminal: then that is gone. Where a program started this one with an IPC channel, the channel's end
 * counts as a SIGINT: that program is gone.
 *
 * `output`: where the command writes.
 */
export function interruptSignal(onFirst: () => void, output: Output = process.stdout): AbortSignal {
  const controller = new AbortController();
  const interruptOnce = () => {
    if (controller.signal.aborted) return;
    onFirst();
    controller.abort(new Interruption('interrupted'));
  };
  const interruptOrEnd = () => {
    if (controller.signal.aborted) endAtOnce();
    interruptOnce();
  };
  process.on('SIGINT', interruptOrEnd);
  process.on('SIGTERM', interruptOnce);
  stopEndingOnSignals();
  // A terminal that goes away may send several.
  onHangup(output, interruptOnce);
  if (process.channel) {
    process.on('disconnect', interruptOrEnd);
    // The channel alone must not keep the process alive when its work is over.
    process.channel.unref();
  }
  return controller.signal;
}

/** Runs the main part of a program of its own: an error that a user can cause is a sentence and an exit code, no stack. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  outliveTerminal();
  try {
    await main();
  } catch (error) {
    reportFailure(error);
  }
}

/** Says what a user, a peer or the system has caused, and sets the exit code. Throws any other error: it is ours. */
export function reportFailure(error: unknown): void {
  if (error instanceof Interruption) {
    process.exitCode = EXIT.interrupted;
    return;
  }
  const isWorded = [ConfigError, ProtocolError, StorageError].some((kind) => error instanceof kind);
  if (!isWorded && !isSystemError(error)) throw error;
  const message = isWorded || !isSystemError(error) ? describeError(error) : describeStraySystemError(error);
  process.stderr.write(`error: ${printableLines(message)}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT.usage : EXIT.failed;
}

export function exitCodeOf({ status }: RunResult): number {
  return { completed: EXIT.done, failed: EXIT.failed, interrupted: EXIT.interrupted }[status];
}

const say = (line: string): void => void process.stderr.write(`${printableLines(line)}\n`);

/** For commands whose standard output is their result: tells both kinds of lines on standard error. */
export const toStderr = { log: say, warn: say };

/** For a run's `config.json`: which program, on what, and the command line that began it, where one did. */
export function runOrigin(engine: object, command: string | undefined): object {
  const [cpu] = cpus();
  const machine = {
    system: `${type()} ${release()} ${arch()}`,
    ...(cpu && { cpu: `${cpus().length} x ${cpu.model.trim()}` }),
  };
  const said = command !== undefined && { command };
  return { ...engine, origin: { gradsock: packageVersion(), node: process.version, ...machine, ...said } };
}

/** The arguments of this process, for {@link runOrigin}. */
export const ownCommandLine = (): string => withoutSecrets(process.argv.slice(2)).join(' ');

/** This package's version, from the package.json above this file (in the sources or in dist/). */
export function packageVersion(): string {
  for (const up of ['..', '../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Not at this level: the next one up.
    }
  }
  return 'unknown';
}
