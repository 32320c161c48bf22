/** The page of the library quotes its example as it is; `test/e2e/library.test.ts` runs it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), 'utf8');

test('docs/guide/library.md quotes docs/examples/train-in-memory.mjs exactly', () => {
  const [, quoted] = /```js\n(\/\*\* Trains a model of its own[^]*?)```\n/.exec(read('guide/library.md'))!;
  expect(quoted).toBe(read('examples/train-in-memory.mjs'));
});
