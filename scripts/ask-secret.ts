/** Asks for a secret on a terminal: what is typed is not shown. */
import { stripVTControlCharacters } from 'node:util';
import { ConfigError } from '../protocol/errors.ts';
import { Interruption } from './process.ts';

export interface AskOptions {
  readonly input: Pick<NodeJS.ReadStream, 'setRawMode' | 'on' | 'off' | 'resume' | 'pause' | 'setEncoding'>;
  readonly output: Pick<NodeJS.WriteStream, 'write'>;
  readonly timeoutMs: number;
}

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const BACKSPACES = ['\b', '\u007f'];
/**
 * What the user types up to Enter, without spaces around it; empty for Enter alone.
 *
 * Rejects with `Interruption` after Ctrl-C, and with `ConfigError` at the deadline or when the terminal is gone. The terminal
 * is left as it was.
 */
export function askSecret(question: string, { input, output, timeoutMs }: AskOptions): Promise<string> {
  let typed = '';
  output.write(question);
  input.setRawMode(true);
  input.setEncoding('utf8');
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
      // Arrow keys send such sequences, and terminals put them around pasted text.
      for (const character of stripVTControlCharacters(text)) {
        if (character === '\r' || character === '\n' || (character === CTRL_D && typed === '')) {
          settle(() => resolve(typed.trim()));
          return;
        }
        if (character === CTRL_C) {
          settle(() => reject(new Interruption('interrupted')));
          return;
        }
        if (BACKSPACES.includes(character)) typed = typed.slice(0, -1);
        else if (character === CTRL_U) typed = '';
        else if (character >= ' ') typed += character;
      }
    };
    input.on('data', take);
    input.on('end', gone);
    input.resume();
  });
}
