/** A command's run on its terminal: what it is told it prints, and the user's Ctrl-C ends it. */
import { createTerminalReporter } from '../../coordinator/reporting/terminal.ts';
import { printableLines } from '../../protocol/errors.ts';
import type { RunCallbacks, RunEvent } from '../library/events.ts';
import { interruptSignal } from '../process.ts';

export interface TerminalRun {
  readonly callbacks: RunCallbacks & { readonly onEvent: (event: RunEvent) => void };
  /** Prints a line, unless it is to be quiet. */
  readonly line: (text: string) => void;
}

/** `quiet`: only failures and warnings are written. */
export function onTerminal({ quiet }: { readonly quiet: boolean }): TerminalRun {
  const reporter = createTerminalReporter({ stream: process.stdout, quiet });
  const { line } = reporter;
  const interruption = new AbortController();
  const listenToUser = () => {
    const signal = interruptSignal(() => line('interrupted: ending after this step; once more ends at once'));
    signal.addEventListener('abort', () => interruption.abort(signal.reason));
  };
  const callbacks = {
    signal: interruption.signal,
    logger: { ...(!quiet && { info: line }), warn: warner(quiet, line) },
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
        case 'ended':
          reporter.onEnd?.(event.result, event.runDir);
          break;
        case 'refused':
          reporter.onRefused?.();
          break;
        case 'listening':
          break;
      }
    },
  };
  return { callbacks, line };
}

/** Says what is out of the ordinary, also when quiet: then where failures of the program go. */
function warner(quiet: boolean, line: (text: string) => void): (text: string) => void {
  return quiet ? (text) => process.stderr.write(`${printableLines(text)}\n`) : line;
}
