import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readJsonFile, readTextFile } from '../../protocol/text-files.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const text = '{"name": "größe"}\n';
const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le');

describe('a text file is read', () => {
  test.each([
    ['without a mark', Buffer.from(text)],
    ['with the byte-order mark of UTF-8', Buffer.from(`\ufeff${text}`)],
    ['in UTF-16, little-endian', utf16],
    ['in UTF-16, big-endian', Buffer.from(utf16).swap16()],
  ])('%s', (_name, bytes) => {
    const path = join(temporaryFolder(), 'file.json');
    writeFileSync(path, bytes);
    expect(readTextFile('--flag', path)).toBe(text);
    expect(readJsonFile('--flag', path)).toEqual({ name: 'größe' });
  });
});

test('what cannot be read, or is no JSON, is refused by subject, reason and cure', () => {
  const folder = temporaryFolder();
  expect(() => readTextFile(`--flag ${folder}`, folder)).toThrow(
    `--flag ${folder}: cannot be read: it is a folder, not a file (EISDIR): name a file`,
  );
  const path = join(folder, 'file.json');
  writeFileSync(path, '{"name":');
  expect(() => readJsonFile(`--flag ${path}`, path)).toThrow(
    new RegExp(`^--flag ${path}: expected JSON, got something else \\(.+\\): mend the file, or name another$`),
  );
});
