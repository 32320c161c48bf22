/** The lines of a file that grows. */
import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openGrownLines } from '../../../coordinator/dashboard/grown-lines.ts';
import type { GrownLines } from '../../../coordinator/dashboard/grown-lines.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

async function read(file: GrownLines) {
  const lines: string[] = [];
  return { growth: await file.read((line) => lines.push(line)), lines };
}

test('each line comes once, a torn one when it is whole', async () => {
  const path = join(temporaryFolder(), 'file');
  const file = openGrownLines(path);
  expect(await read(file)).toEqual({ growth: 'same', lines: [] });
  writeFileSync(path, 'one\ntwo\nthr');
  expect(await read(file)).toEqual({ growth: 'grown', lines: ['one', 'two'] });
  appendFileSync(path, 'ee\n');
  expect(await read(file)).toEqual({ growth: 'grown', lines: ['three'] });
  expect(await read(file)).toEqual({ growth: 'same', lines: [] });
});

test('lines may be longer than what is read at once, and one that is far too long is passed over', async () => {
  const path = join(temporaryFolder(), 'file');
  const long = 'é'.repeat(300_000);
  writeFileSync(path, `a\n${long}\n${'x'.repeat(5_000_000)}\nb\n`);
  expect((await read(openGrownLines(path))).lines).toEqual(['a', long, 'b']);
});

test('a file that was cut or replaced is told', async () => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, 'one\ntwo\n');
  const file = openGrownLines(path);
  await read(file);
  truncateSync(path, 4);
  expect(await read(file)).toEqual({ growth: 'cut', lines: [] });
});

test('of the end of a long file only whole lines come', async () => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, 'first line\nsecond line\nthird\n');
  expect((await read(openGrownLines(path, { lastBytes: 10 }))).lines).toEqual(['third']);
  expect((await read(openGrownLines(path, { lastBytes: 100 }))).lines).toHaveLength(3);
});
