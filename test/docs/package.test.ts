/** The package that npm makes: what people get who install it, and no more. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of all files in the package, uncompressed. The bundle of the dashboard's page is 0.13 MiB of it. */
const MOST_BYTES = 2.5 * 2 ** 20;

interface Packed {
  readonly files: readonly { readonly path: string }[];
  readonly unpackedSize: number;
}

let packed: Packed;
let paths: readonly string[];

beforeAll(() => {
  // Without scripts: the build is there already.
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  packed = (JSON.parse(output) as [Packed])[0];
  paths = packed.files.map(({ path }) => path);
});

describe('the package', () => {
  test('has the program, the sources of its native engine, and the documents', () => {
    expect(paths).toEqual(
      expect.arrayContaining([
        'dist/scripts/cli.js',
        'dist/assets/dashboard.js',
        'dist/assets/dashboard.css',
        'dist/scripts/build-native.js',
        'dist/scripts/survey/survey-process.js',
        'dist/scripts/sweep/trial-process.js',
        'dist/worker/engines/thread/entry.js',
        'worker/engines/native/addon.cpp',
        'README.md',
        'CHANGELOG.md',
        'SECURITY.md',
        'LICENSE',
        'docs/README.md',
        'docs/examples/train-in-memory.mjs',
      ]),
    );
  });

  test('has the library, and of its types those that it leads to', () => {
    expect(paths).toEqual(expect.arrayContaining(['dist/scripts/library/index.js', 'dist/scripts/library/index.d.ts']));
    const types = paths.filter((path) => path.endsWith('.d.ts'));
    for (const path of types) {
      const text = readFileSync(join(ROOT, path), 'utf8');
      for (const [, target] of text.matchAll(/from '([^']+)'/g)) {
        if (target!.startsWith('.')) expect(types).toContain(join(dirname(path), target!.replace(/\.js$/, '.d.ts')));
        // A consumer has the types of what the package depends on, and no others.
        else expect(['zod', 'commander'], `${path} imports ${target!}`).toContain(target);
      }
    }
  });

  test('has no benchmark, no test, nothing that was built on this machine and no raw records', () => {
    const unwanted = /^(test|scripts)\/|^dist\/(test|scripts\/(bench|develop))\/|\.(node|map|log|jsonl?)$/;
    const isWanted = (path: string): boolean => path === 'package.json' || path.startsWith('docs/examples/');
    expect(paths.filter((path) => unwanted.test(path) && !isWanted(path))).toEqual([]);
  });

  // Screenshots are in the repository alone: with them the package would be half as large again.
  test('has each page that its README and its index of pages link to', () => {
    for (const page of ['README.md', 'docs/README.md']) {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]+\.(?:md|svg))(?:#[^)]*)?\)/g)].map(([, link]) => link!);
      expect(links.length).toBeGreaterThan(10);
      expect(paths).toEqual(expect.arrayContaining(links.map((link) => normalize(join(page, '..', link)))));
    }
  });

  test(`is no larger than ${MOST_BYTES / 2 ** 20} MiB`, () => {
    expect(packed.unpackedSize).toBeLessThan(MOST_BYTES);
  });
});
