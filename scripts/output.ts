/** The process's output: what happens when nobody reads it any more, or its terminal goes away. */

/** A stream that may be a terminal. */
export interface Output {
  readonly isTTY?: boolean | undefined;
}

/**
 * Keeps the process going when its output is lost, and when its terminal goes away while its output is none.
 *
 * What is written to a pipe without a reader, a terminal that is gone or a full disk is lost, in silence: there is nowhere
 * left to say so. SIGHUP is ignored here and not left to `nohup`, as Node.js resets signals that it finds ignored.
 */
export function outliveTerminal(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  if (!process.stdout.isTTY) process.on('SIGHUP', () => {});
}

/** Has a SIGHUP count as an interruption where the command's output goes to the terminal, and ignores it elsewhere. */
export function onHangup(output: Output, interrupt: () => void): void {
  process.on('SIGHUP', output.isTTY ? interrupt : () => {});
}
