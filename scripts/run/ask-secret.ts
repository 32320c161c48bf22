/** Asks for a secret on a terminal: what is typed is not shown. */
import { stripVTControlCharacters } from 'node:util';
import { ConfigError } from '../../protocol/errors.ts';
import { Interruption } from '../process.ts';

/** What is used of a terminal's input. */
export interface TerminalInput {
  setRawMode(isRaw: boolean): unknown;
  setEncoding(encoding: 'utf8'): unknown;
  on(event: 'data', listener: (text: string) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  off(event: 'data', listener: (text: string) => void): unknown;
  off(event: 'end', listener: () => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface AskOptions {
  readonly input: TerminalInput;
  readonly output: { write(text: string): unknown };
  readonly timeoutMs: number;
}

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const ESCAPE = '\u001b';
const BACKSPACES = ['\b', '\u007f'];
/**
 * What the user types up to Enter, without spaces around it; empty for Enter alone.
 *
 * Rejects with `Interruption` after Ctrl-C, and with `ConfigError` at the deadline or when the terminal is gone. The terminal
 * is left as it was.
 */
export function askSecret(question: string, { input, output, timeoutMs }: AskOptions): Promise<string> {
  let typed = '';
  // Before the question is there, so that nothing that is typed in answer to it is shown.
  input.setRawMode(true);
  input.setEncoding('utf8');
  output.write(question);
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      clearTimeout(timer);
      input.off('data', take);
      input.off('end', gone);
      input.setRawMode(false);
      input.pause();
      output.write('\n');
      action();
    };
    const timer = setTimeout(
      () =>
        settle(() => reject(new ConfigError(`${question.trim()} nothing was entered within ${timeoutMs / 1000} s`))),
      timeoutMs,
    );
    const gone = () => settle(() => reject(new ConfigError(`${question.trim()} the terminal is gone`)));
    const take = (text: string) => {
      for (const character of text) {
        if (character === '\r' || character === '\n' || (character === CTRL_D && typed === '')) {
          settle(() => resolve(stripVTControlCharacters(typed).trim()));
          return;
        }
        if (character === CTRL_C) {
          settle(() => reject(new Interruption('interrupted')));
          return;
        }
        if (BACKSPACES.includes(character)) typed = typed.slice(0, -1);
        else if (character === CTRL_U) typed = '';
        // Arrow keys send sequences that begin with Escape, and terminals put such around pasted text.
        else if (character >= ' ' || character === ESCAPE) typed += character;
      }
    };
    input.on('data', take);
    input.on('end', gone);
    input.resume();
  });
}

/** Whether somebody can be asked. The worker of a launcher asks nobody. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY && !process.channel;
}

/** Asks the user for the token of the run at a URL; empty for none. */
export function askForToken(url: string, waitSeconds: number): Promise<string> {
  const question = `token of the run at ${url} (Enter if it has none): `;
  return askSecret(question, { input: process.stdin, output: process.stderr, timeoutMs: waitSeconds * 1000 });
}
