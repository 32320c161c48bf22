/** Words for a shell, and words as a shell would read them. */
import { ConfigError } from '../../protocol/errors.ts';

/** One word for any shell like sh, whatever characters it has. A NUL, which no argument can have, is not expected. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Words for the command line of a shell like sh. */
export const quoteWords = (words: readonly string[]): string => words.map(quoteWord).join(' ');

/**
 * The words of a command line, by the rules of sh for quotes and backslashes. Nothing is expanded: no variables, no
 * patterns. `where` begins the messages. Throws `ConfigError` for a quote that is not closed.
 */
export function splitWords(text: string, where: string): string[] {
  const piece = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(\s+)|([^\s'"\\]+)/gsy;
  const words: string[] = [];
  let word: string | undefined;
  let end = 0;
  for (let match; (match = piece.exec(text)) !== null; end = piece.lastIndex) {
    const [, single, double, escaped, space, plain] = match;
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word = (word ?? '') + (single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain!);
  }
  if (end < text.length) {
    throw new ConfigError(`${where}: expected words as a shell reads them, got a quote or backslash without its end`);
  }
  return word === undefined ? words : [...words, word];
}
