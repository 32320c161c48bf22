import { spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeStraySystemError, describeSystemError, isSystemError } from '../../protocol/system-errors.ts';
import type { FileDeed } from '../../protocol/system-errors.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { asOrdinaryUser, openFolder } from '../helpers/ordinary-user.ts';

function errorOf(action: () => unknown): NodeJS.ErrnoException {
  try {
    action();
  } catch (error) {
    if (isSystemError(error)) return error;
    throw error;
  }
  throw new Error('expected the system to refuse');
}

const fake = (code: string) => Object.assign(new Error(`${code}: as the system says it`), { code });

describe('what the system refuses is a sentence with path, reason and cure:', () => {
  const file = (folder: string) => {
    writeFileSync(join(folder, 'file'), '');
    return join(folder, 'file');
  };
  const circle = (folder: string) => {
    symlinkSync('circle', join(folder, 'circle'));
    return join(folder, 'circle');
  };

  test.each<[string, FileDeed, (folder: string) => unknown, string]>([
    [
      'no such file',
      'read',
      (folder) => readFileSync(join(folder, 'none')),
      'there is no such file (ENOENT): check the path',
    ],
    [
      'no folder to write into',
      'written',
      (folder) => writeFileSync(join(folder, 'none', 'file'), ''),
      'the folder that it is to be in is not there (ENOENT): make that folder, or name another',
    ],
    ['a folder', 'read', (folder) => readFileSync(folder), 'it is a folder, not a file (EISDIR): name a file'],
    [
      'a file for a folder',
      'read',
      (folder) => readFileSync(join(file(folder), 'file')),
      'a part of the path is a file, not a folder (ENOTDIR): name a path through folders',
    ],
    [
      'a file where a folder is to be made',
      'made',
      (folder) => mkdirSync(file(folder)),
      'a file has that name (EEXIST): name another folder',
    ],
    [
      'links in a circle',
      'read',
      (folder) => readFileSync(circle(folder)),
      'its symbolic links lead in a circle (ELOOP): mend the links',
    ],
    [
      'a long path',
      'read',
      (folder) => readFileSync(join(folder, 'x'.repeat(300))),
      'the path is too long (ENAMETOOLONG): name a shorter one',
    ],
    [
      'a null character',
      'read',
      (folder) => readFileSync(`${folder}\0`),
      'a path cannot hold a null character (ERR_INVALID_ARG_VALUE): check the path',
    ],
    [
      'a full disk',
      'written',
      () => writeFileSync('/dev/full', 'x'),
      'no space is left on that disk (ENOSPC): make room on that disk',
    ],
  ])('%s', (_name, deed, action, expected) => {
    const error = errorOf(() => action(temporaryFolder()));
    expect(describeSystemError('--flag PATH', deed, error)).toBe(`--flag PATH: cannot be ${deed}: ${expected}`);
  });

  test("another user's file, for reading and for writing", async () => {
    const folder = openFolder();
    const path = join(folder, 'theirs');
    writeFileSync(path, '', { mode: 0o600 });
    await asOrdinaryUser([path], (uid) => {
      const read = describeSystemError(
        path,
        'read',
        errorOf(() => readFileSync(path)),
      );
      const cure = (verb: string) => `let that user ${verb} it (chmod, chown), or name another`;
      expect(read).toBe(`${path}: cannot be read: permission denied for user ${uid} (EACCES): ${cure('read')}`);
      const written = describeSystemError(
        path,
        'written',
        errorOf(() => openSync(path, 'a')),
      );
      expect(written).toBe(`${path}: cannot be written: permission denied for user ${uid} (EACCES): ${cure('write')}`);
      return Promise.resolve();
    });
  });

  test('a read-only file system', ({ skip }) => {
    const folder = temporaryFolder();
    // In a mount namespace of its own, which ends with the process.
    const script =
      'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$1" -e \'' +
      'try { require("fs").writeFileSync(process.argv[1] + "/file", ""); } catch (error) { console.log(error.code); }\' "$0"';
    const args = ['--user', '--map-root-user', '--mount', 'sh', '-c', script, folder, process.execPath];
    const child = spawnSync('unshare', process.getuid?.() === 0 ? args.slice(2) : args, { encoding: 'utf8' });
    if (child.status !== 0) skip(`no mount namespace can be made here: ${child.stderr}`);
    expect(describeSystemError('PATH', 'written', fake(child.stdout.trim()))).toBe(
      'PATH: cannot be written: its file system is read-only (EROFS): name a folder that can be written',
    );
  });

  test('too many open files', () => {
    const script =
      'const fs = require("fs"); try { for (;;) fs.openSync("/dev/null"); } catch (error) { console.log(error.code); }';
    const child = spawnSync('sh', ['-c', 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, script], {
      encoding: 'utf8',
    });
    expect(describeSystemError('PATH', 'read', fake(child.stdout.trim()))).toBe(
      'PATH: cannot be read: this process has too many files open (EMFILE): raise the limit (ulimit -n)',
    );
  });

  test.each([
    ['ENFILE', 'this machine has too many files open'],
    ['EDQUOT', "this user's disk quota is used up"],
    ['EIO', 'the disk reports an error'],
    ['EPERM', 'operation not permitted for user'],
    ['ESTALE', 'the network file system has lost it'],
  ])('%s, which no test can bring about', (code, reason) => {
    expect(describeSystemError('PATH', 'written', fake(code))).toMatch(
      new RegExp(`^PATH: cannot be written: ${reason}.* \\(${code}\\): \\w+`),
    );
  });
});

test("an error that is none of the system's keeps its own message", () => {
  expect(describeSystemError('PATH', 'read', new Error('as it is'))).toBe('PATH: cannot be read: as it is');
  expect(isSystemError(Object.assign(new Error(), { code: 'ERR_OURS' }))).toBe(false);
});

test('an error that nobody has put into words names the path and the deed by what the system says', () => {
  const path = join(temporaryFolder(), 'none', 'folder');
  expect(describeStraySystemError(errorOf(() => mkdirSync(path)))).toBe(
    `${path}: cannot be made: the folder that it is to be in is not there (ENOENT): make that folder, or name another`,
  );
});
