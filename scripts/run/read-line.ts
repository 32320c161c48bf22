/** One line of standard input, for what a launcher hands on there. */
import { countOf } from '../../protocol/counts.ts';
import type { Readable } from 'node:stream';
import { ConfigError } from '../../protocol/errors.ts';

/** A join URL with its token has some 100 characters. */
const LONGEST_LINE = 4096;

/**
 * The first line of a stream, without its end and spaces around it; the rest stays in the stream. The last line needs no
 * end. `subject` begins the messages.
 *
 * Rejects with `ConfigError` at the deadline, at the stream's end without a line, and for a line that is too long.
 */
export function readFirstLine(stream: Readable, subject: string, timeoutMs: number): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      clearTimeout(timer);
      stream.off('readable', take).off('end', end).off('error', fail);
      stream.pause();
      action();
    };
    const refuse = (why: string) => settle(() => reject(new ConfigError(`${subject}: ${why}`)));
    const timer = setTimeout(() => refuse(`expected a line, got none within ${timeoutMs / 1000} s`), timeoutMs);
    const end = () => {
      if (text.trim() === '') refuse('expected a line, got the end of the input');
      else settle(() => resolve(text.trim()));
    };
    const fail = (error: Error) => refuse(`cannot be read: ${error.message}`);
    const take = () => {
      for (let chunk; (chunk = stream.read() as Buffer | null) !== null;) {
        const at = chunk.indexOf('\n');
        text += chunk.subarray(0, at === -1 ? chunk.length : at).toString('latin1');
        if (text.length > LONGEST_LINE) {
          refuse(`expected a line of at most ${countOf(LONGEST_LINE, 'byte')}, got more`);
          return;
        }
        if (at === -1) continue;
        settle(() => {
          if (at + 1 < chunk.length) stream.unshift(chunk.subarray(at + 1));
          resolve(text.trim());
        });
        return;
      }
    };
    stream.on('readable', take).on('end', end).on('error', fail);
  });
}
