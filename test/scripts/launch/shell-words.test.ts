import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quoteWord, quoteWords, splitWords } from '../../../scripts/launch/shell-words.ts';

/** The words that sh makes of a command line. */
function wordsInShell(line: string): string[] {
  const script = `for word in ${line}; do printf '%s\\0' "$word"; done`;
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

const ODD = [
  "it's",
  'a b',
  '',
  '$HOME',
  '`true`',
  '"',
  '\\',
  '*',
  '~',
  '-n',
  'ä\n ö',
  "''",
  '!',
  '#',
  'a;b',
  '$(true)',
];

describe('quoted words', () => {
  test('reach a shell as they are', () => {
    expect(wordsInShell(quoteWords(ODD))).toEqual(ODD);
  });

  test('reach a shell within a shell as they are', () => {
    const inner = `for word in ${quoteWords(ODD)}; do printf "%s\\0" "$word"; done`;
    const output = execFileSync('sh', ['-c', `exec sh -c ${quoteWord(inner)}`], { encoding: 'utf8' });
    expect(output.split('\0').slice(0, -1)).toEqual(ODD);
  });

  test('are split into the same words', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
        expect(splitWords(quoteWords(words), '--ssh')).toEqual(words);
      }),
    );
  });
});

describe('words of a command line', () => {
  test.each(['ssh -F /etc/my\\ config', `ssh -o 'User=a b' -p "22"`, ` a  'b'"c"d `, `"a\\"b\\\\c\\d"`, `''`, ''])(
    'are those of sh: %s',
    (line) => expect(splitWords(line, '--ssh')).toEqual(wordsInShell(line)),
  );

  test.each([`ssh 'a`, 'ssh "a', 'ssh a\\'])('%s is refused', (line) => {
    expect(() => splitWords(line, '--ssh')).toThrow('--ssh: expected words as a shell reads them');
  });
});
