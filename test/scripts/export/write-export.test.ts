/** An export's folder: what an earlier export wrote is replaced, and nothing else is. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeExport } from '../../../scripts/export/write-export.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const write = (folder: string, files: Readonly<Record<string, string>>, format = 'tfjs') =>
  writeExport(folder, {
    format,
    facts: { classes: ['a'] },
    files: Object.entries(files).map(([name, content]) => ({ name, content })),
  });

describe('a folder', () => {
  test('is made, with its parents, and has a manifest', async () => {
    const folder = join(temporaryFolder(), 'a', 'b');
    await write(folder, { 'model.json': '{}' });
    expect(JSON.parse(readFileSync(join(folder, 'export.json'), 'utf8'))).toEqual({
      format: 'tfjs',
      classes: ['a'],
      files: { 'model.json': '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' },
    });
  });

  test('gets the files of the next export in place of those of the one before; others stay', async () => {
    const folder = temporaryFolder();
    await write(folder, { 'model.json': '1', 'shard1of2.bin': 'x', 'shard2of2.bin': 'y' });
    writeFileSync(join(folder, 'index.html'), 'mine');
    rmSync(join(folder, 'shard1of2.bin'));
    await write(folder, { 'model.json': '2', 'shard1of1.bin': 'z' });
    expect(readdirSync(folder).sort()).toEqual(['export.json', 'index.html', 'model.json', 'shard1of1.bin']);
    expect(readFileSync(join(folder, 'model.json'), 'utf8')).toBe('2');
  });

  test('of an export that was cut short is completed by the same one', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'model.json'), '1');
    await write(folder, { 'model.json': '1', 'README.md': 'card' });
    expect(existsSync(join(folder, 'export.json'))).toBe(true);
  });
});

describe('is left as it is, with a sentence,', () => {
  const before = { 'model.json': '1', 'README.md': 'card' };

  test.each<[string, string, string]>([
    ['a file that no export wrote', 'group.bin', 'mine'],
    ['a card that was changed since', 'README.md', 'card, and my remarks'],
    ['a manifest that is none', 'export.json', '{"files": 3}'],
    ['a manifest that names files elsewhere', 'export.json', '{"format": "tfjs", "files": {"../x": "1"}}'],
  ])('%s', async (_, name, content) => {
    const folder = temporaryFolder();
    await write(folder, before);
    writeFileSync(join(folder, name), content);
    const message = `${join(folder, name)}: expected no file or one as an earlier export wrote it, got another`;
    await expect(write(folder, { 'model.json': '1', 'README.md': 'card 2', 'group.bin': 'z' })).rejects.toThrow(
      name === 'export.json' ? 'expected no file or one as an earlier export wrote it' : message,
    );
    expect(readFileSync(join(folder, name), 'utf8')).toBe(content);
    expect(readFileSync(join(folder, 'model.json'), 'utf8')).toBe('1');
  });

  test('an export in another format', async () => {
    const folder = temporaryFolder();
    await write(folder, before);
    await expect(write(folder, before, 'onnx')).rejects.toThrow(
      'expected an export in the format onnx or none, got one in tfjs: name another folder by --output',
    );
  });

  test('a file where the folder is to be', async () => {
    const path = join(temporaryFolder(), 'file');
    writeFileSync(path, '');
    await expect(write(path, before)).rejects.toThrow(`--output ${path}: cannot be made`);
  });

  test('a folder where a file is to be', async () => {
    const folder = temporaryFolder();
    await write(join(folder, 'model.json'), before);
    await expect(write(folder, before)).rejects.toThrow('got another: move it away');
  });
});
