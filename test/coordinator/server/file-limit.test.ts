import { expect, test } from 'vitest';
import { fileLimitWarning } from '../../../coordinator/server/file-limit.ts';

test('a limit on open files that is too low for the workers is told, with the number that is enough', () => {
  expect(fileLimitWarning(1000, 1024)).toMatch(/may open 1024 files, expected 1192 for 1000 workers.*`ulimit -Hn 1192/);
  expect(fileLimitWarning(1000, 1192)).toBeUndefined();
  expect(fileLimitWarning(1000, 1191)).toBeDefined();
});

test('where the system does not tell its limit, and where this process has enough, nothing is said', () => {
  expect(fileLimitWarning(2)).toBeUndefined();
});
