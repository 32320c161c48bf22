import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../../../scripts/launch/install/installed-packages.ts';
import { readInstalled } from '../../../../scripts/launch/install/installed-packages.ts';
import { lockFilesOf } from '../../../../scripts/launch/install/lock-file.ts';
import { temporaryFolder } from '../../../helpers/folder.ts';

interface Lock {
  readonly packages: Readonly<
    Record<string, { version: string; integrity?: string; name?: string; dependencies?: Record<string, string> }>
  >;
}

/** Writes packages: their folders below `root`, and what their package.json has besides name and version. */
function write(
  root: string,
  packages: Readonly<Record<string, { readonly version: string } & Partial<Manifest>>>,
): void {
  for (const [folder, manifest] of Object.entries(packages)) {
    const name = folder.split('node_modules/').at(-1);
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, 'package.json'), JSON.stringify({ name, ...manifest }));
  }
}

function lockOf(root: string, extra: readonly string[] = []): Lock['packages'] {
  const { packageLock } = lockFilesOf(readInstalled(root, extra));
  return (JSON.parse(packageLock) as Lock).packages;
}

describe('the lock file of what is installed here', () => {
  test('has exact versions, nested as they are needed, and no optional package', () => {
    const root = temporaryFolder();
    write(root, {
      '': { version: '1.0.0', dependencies: { a: '^1', b: '*', old: 'npm:a@0' }, optionalDependencies: { gpu: '1' } },
      'node_modules/a': {
        version: '1.2.0',
        dependencies: { c: '^2' },
        peerDependencies: { b: '*', no: '*' },
        peerDependenciesMeta: { no: { optional: true } },
      },
      'node_modules/b': { version: '3.0.0', dependencies: { c: '^1', a: '*' } },
      'node_modules/b/node_modules/c': { version: '1.5.0' },
      'node_modules/c': { version: '2.0.1' },
      'node_modules/old': { name: 'a', version: '0.9.0' },
      'node_modules/gpu': { version: '1.0.0' },
      'node_modules/dev': { version: '1.0.0' },
    });
    expect(lockOf(root)).toMatchObject({
      '': { version: '1.0.0', dependencies: { a: '1.2.0', b: '3.0.0', old: 'npm:a@0.9.0' } },
      'node_modules/a': { version: '1.2.0', dependencies: { b: '3.0.0', c: '2.0.1' } },
      'node_modules/b': { version: '3.0.0', dependencies: { a: '1.2.0', c: '1.5.0' } },
      'node_modules/b/node_modules/c': { version: '1.5.0' },
      'node_modules/c': { version: '2.0.1' },
      'node_modules/old': { version: '0.9.0', name: 'a' },
    });
    expect(Object.keys(lockOf(root))).toHaveLength(6);
    expect(Object.keys(lockOf(root, ['gpu']))).toContain('node_modules/gpu');
  });

  test('has the sums of archives that a lock file above knows, of these versions alone', () => {
    const project = temporaryFolder();
    const root = join(project, 'node_modules/gradsock');
    write(project, {
      'node_modules/gradsock': { version: '1.0.0', dependencies: { a: '1', b: '1' } },
      'node_modules/a': { version: '1.2.0' },
      'node_modules/b': { version: '1.1.0' },
    });
    const packages = {
      'node_modules/a': { version: '1.2.0', integrity: 'sha512-of-a' },
      'node_modules/b': { version: '1.0.0', integrity: 'sha512-of-another' },
    };
    writeFileSync(join(project, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
    expect(lockOf(root)['node_modules/a']).toEqual({ version: '1.2.0', integrity: 'sha512-of-a' });
    expect(lockOf(root)['node_modules/b']).toEqual({ version: '1.1.0' });
  });

  test('is the same where packages lie in a store, behind links', () => {
    const root = temporaryFolder();
    write(root, {
      '': { version: '1.0.0', dependencies: { a: '1' } },
      'node_modules/.store/a/node_modules/a': { version: '1.2.0', dependencies: { b: '1' } },
      'node_modules/.store/a/node_modules/b': { version: '1.0.0' },
    });
    symlinkSync('.store/a/node_modules/a', join(root, 'node_modules/a'));
    expect(Object.keys(lockOf(root))).toEqual(['', 'node_modules/a', 'node_modules/b']);
  });

  test('of this program has no tool of its development', () => {
    const names = Object.keys(lockOf(fileURLToPath(new URL('../../../..', import.meta.url))));
    expect(names).toEqual(expect.arrayContaining(['node_modules/ws', 'node_modules/zod', 'node_modules/commander']));
    for (const unwanted of ['typescript', 'vitest', 'onnxruntime-node'])
      expect(names).not.toContain(`node_modules/${unwanted}`);
  });

  test('cannot be made where a package is missing', () => {
    const root = temporaryFolder();
    write(root, { '': { name: 'gradsock', version: '1.0.0', dependencies: { a: '1' } } });
    expect(() => lockOf(root)).toThrow(
      '--install: gradsock 1.0.0 needs the package a, which is not installed here, so hosts would not know which version to take: npm install a',
    );
  });
});
