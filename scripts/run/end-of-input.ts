/** The end of an input as a reason to stop: a launcher's connection ends, and with it the standard input of its worker. */
import type { Readable } from 'node:stream';
import { Interruption } from '../process.ts';

/** A worker leaves its run in milliseconds. One that cannot, because it hangs, is ended. */
const LEAVE_DEADLINE_MS = 5000;

export interface EndOfInput {
  /** Aborted when the input has ended. */
  readonly signal: AbortSignal;
  /** Stops reading: the input does not keep the process alive any more. */
  readonly close: () => void;
}

/** Reads the input and drops what comes. `endNow` is called where nobody has called `close` 5 s after the end. */
export function endOfInput(input: Readable, endNow: () => void): EndOfInput {
  const controller = new AbortController();
  let deadline: NodeJS.Timeout | undefined;
  const end = () => {
    if (controller.signal.aborted) return;
    deadline = setTimeout(endNow, LEAVE_DEADLINE_MS);
    controller.abort(new Interruption('standard input has ended'));
  };
  input.on('end', end).on('close', end).on('error', end).resume();
  // An input that had ended before tells nothing any more.
  if (input.readableEnded || input.destroyed) end();
  return {
    signal: controller.signal,
    close() {
      clearTimeout(deadline);
      input.off('end', end).off('close', end).destroy();
    },
  };
}
