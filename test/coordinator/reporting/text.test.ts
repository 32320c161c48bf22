import { expect, test } from 'vitest';
import {
  cutTo,
  fitLine,
  formatBytes,
  formatDuration,
  formatMs,
  wrapText,
} from '../../../coordinator/reporting/text.ts';

test('durations are written in the two largest units that say something', () => {
  expect([0.4, 12, 59.6, 200, 3599.6, 3900, 90_000].map(formatDuration)).toEqual([
    ...['0 s', '12 s', '1 min 0 s', '3 min 20 s', '1 h 0 min', '1 h 5 min', '25 h 0 min'],
  ]);
});

test('bytes are written in MB, below one in kB', () => {
  expect([6096, 999_949, 1e6, 114.8e6].map(formatBytes)).toEqual(['6.1 kB', '999.9 kB', '1.0 MB', '114.8 MB']);
});

test('a text is broken between words, and goes on indented', () => {
  expect(wrapText('  one two three four', 12)).toBe('  one two\n    three\n    four');
  expect(wrapText('a-word-that-is-longer-than-a-line next', 10)).toBe('a-word-that-is-longer-than-a-line\n    next');
  expect(wrapText('short', 120)).toBe('short');
});

test('the parts of a line that say least give way first, and those without an order never', () => {
  const parts = [{ text: 'one' }, { text: 'two', order: 1 }, { text: 'three', order: 2 }, { text: 'four' }];
  expect([24, 21, 14, 3].map((columns) => fitLine(parts, columns))).toEqual([
    ...['one, two, three, four', 'one, two, three, four', 'one, two, four', 'one, four'],
  ]);
});

test('milliseconds have two digits or more, and become seconds', () => {
  expect([0.04, 9.94, 12.3, 999, 1234].map(formatMs)).toEqual(['0.0 ms', '9.9 ms', '12 ms', '999 ms', '1.2 s']);
});

test('a text is cut with a mark', () => {
  expect([8, 5, 4, 1].map((width) => cutTo('local', width))).toEqual(['local', 'local', 'loc…', '…']);
});
