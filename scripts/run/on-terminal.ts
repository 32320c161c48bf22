/** A command's run on its terminal: what it is told it prints, and the user's Ctrl-C ends it. */
import { combineReporters } from '../../coordinator/reporting/combine-reporters.ts';
import { createJsonReporter } from '../../coordinator/reporting/json-lines.ts';
import type { Reporter } from '../../coordinator/reporting/reporter.ts';
import { createTerminalReporter } from '../../coordinator/reporting/terminal.ts';
import { printableLines } from '../../protocol/errors.ts';
import type { RunFlags } from '../flags/run-flags.ts';
import type { RunCallbacks, RunEvent } from '../library/events.ts';
import { interruptSignal } from '../process.ts';

/** Flags of a command's own: how it speaks, not what the run is. */
export const TERMINAL_FLAGS = ['quiet', 'json', 'progressInterval'] as const;

export type TerminalFlag = (typeof TERMINAL_FLAGS)[number];

export interface TerminalRun {
  readonly callbacks: RunCallbacks & { readonly onEvent: (event: RunEvent) => void };
  /** Prints a line, unless it is to be quiet. */
  readonly line: (text: string) => void;
  /** Where lines for people go. */
  readonly stream: NodeJS.WriteStream;
}

/**
 * `quiet`: only failures and warnings are written. `json`: standard output has records alone, what is for people goes to
 * standard error.
 */
export function onTerminal({ quiet, json, progressInterval }: Pick<RunFlags, TerminalFlag>): TerminalRun {
  const stream = json ? process.stderr : process.stdout;
  // Where both streams are one terminal, records would fall into the block.
  const isLive = !json || !process.stdout.isTTY;
  const terminal = createTerminalReporter({ stream, quiet, progressIntervalSeconds: progressInterval, isLive });
  const { line } = terminal;
  const records = json ? createJsonReporter(process.stdout) : undefined;
  const reporter: Reporter = combineReporters<Reporter>(terminal, records ? [records] : []);
  const warnPeople = warner(quiet, line);
  const warn = (text: string) => {
    records?.warn(text);
    warnPeople(text);
  };
  const interruption = new AbortController();
  const listenToUser = () => {
    const signal = interruptSignal(() => line('interrupted: ending after this step; once more ends at once'));
    signal.addEventListener('abort', () => interruption.abort(signal.reason));
  };
  const callbacks = {
    signal: interruption.signal,
    logger: { ...(!quiet && { info: line }), warn },
    onStep: reporter.onProgress?.bind(reporter),
    onEpoch: reporter.onEpoch?.bind(reporter),
    onEvent(event: RunEvent) {
      switch (event.kind) {
        case 'prepared':
          // Before, there is nothing to end in order: the signal ends the process.
          listenToUser();
          break;
        case 'phase':
          reporter.onPhase?.(event.doing);
          break;
        case 'started':
          reporter.onStart?.(event.config, event.workers, event.runDir, event.stepsDone);
          break;
        case 'worker':
        case 'control':
          reporter.onEvent?.(event);
          break;
        case 'ended':
          reporter.onEnd?.(event.result, event.runDir);
          break;
        case 'refused':
          reporter.onRefused?.();
          break;
        case 'dashboard':
          line(dashboardLine(event, stream.isTTY));
          break;
        case 'listening':
          break;
      }
    },
  };
  return { callbacks, line, stream };
}

/** The link to the page; with the key that it asks for only where lines go to a terminal. */
function dashboardLine({ url, viewKey }: Extract<RunEvent, { kind: 'dashboard' }>, isTerminal: boolean): string {
  if (viewKey === undefined) return `dashboard: ${url}`;
  return isTerminal
    ? `dashboard: ${url}#view=${viewKey}`
    : `dashboard: ${url}, with the key in view-key of the run directory`;
}

/** Says what is out of the ordinary, also when quiet: then where failures of the program go. */
function warner(quiet: boolean, line: (text: string) => void): (text: string) => void {
  return quiet ? (text) => process.stderr.write(`${printableLines(text)}\n`) : line;
}
