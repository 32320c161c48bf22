/** The package that npm makes: what people get who install it, and no more. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of all files in the package, uncompressed. The bundle of the dashboard's page is 0.13 MiB of it. */
const MOST_BYTES = 2.75 * 2 ** 20;

/** Of a whole installation: what `npm install --omit=optional` leaves on the disk. */
const MOST_INSTALLED_MEGABYTES = 120;

type Versions = Readonly<Record<string, string>>;

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly scripts: Versions;
  readonly dependencies: Versions;
  readonly devDependencies: Versions;
  readonly optionalDependencies: Versions;
  readonly peerDependencies: Versions;
  readonly peerDependenciesMeta: Readonly<Record<string, object>>;
};

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

  test('runs no script where it is installed: npm 12, pnpm and careful users skip them', () => {
    const { scripts } = manifest;
    for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
    expect(existsSync(join(ROOT, 'binding.gyp'))).toBe(false);
  });

  test(`takes at most ${MOST_INSTALLED_MEGABYTES} MB with all that it depends on, but for TensorFlow on GPUs`, () => {
    const { dependencies } = manifest;
    const bytes = packed.unpackedSize + installedBytes(Object.keys(dependencies));
    expect(bytes / 1e6).toBeLessThan(MOST_INSTALLED_MEGABYTES);
    // As small as that because these are not installed by themselves.
    const optional = Object.keys(manifest.peerDependenciesMeta);
    expect(optional.sort()).toEqual(['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm', 'onnxruntime-node']);
  });

  test('has peers that are optional, tested in the lowest version of their range', () => {
    for (const [name, range] of Object.entries(manifest.peerDependencies)) {
      expect(manifest.peerDependenciesMeta[name]).toEqual({ optional: true });
      expect(range).toBe(`^${manifest.devDependencies[name]}`);
    }
    // npm would keep it as a peer where it leaves out what brings it along.
    expect(manifest.peerDependencies).not.toHaveProperty('@tensorflow/tfjs');
    expect(manifest.devDependencies['@tensorflow/tfjs']).toBe(
      manifest.devDependencies['@tensorflow/tfjs-backend-wasm'],
    );
    expect(Object.keys(manifest.optionalDependencies)).toEqual(['@tensorflow/tfjs-node-gpu']);
  });

  test(`is no larger than ${MOST_BYTES / 2 ** 20} MiB`, () => {
    expect(packed.unpackedSize).toBeLessThan(MOST_BYTES);
  });
});

/** Of these packages and all that they depend on, as they lie in this repository's node_modules, each once. */
function installedBytes(names: readonly string[]): number {
  const folders = new Set<string>();
  const follow = (name: string, from: string): void => {
    const folder = folderOf(name, from);
    if (folder === undefined || folders.has(folder)) return;
    folders.add(folder);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as { dependencies?: Versions; optionalDependencies?: Versions };
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) follow(needed, folder);
  };
  for (const name of names) follow(name, ROOT);
  return [...folders].reduce((sum, folder) => sum + bytesIn(folder), 0);
}

/** Where `from` finds the package; undefined where an optional one is not installed. */
function folderOf(name: string, from: string): string | undefined {
  const folder = join(from, 'node_modules', name);
  if (existsSync(join(folder, 'package.json'))) return folder;
  return from === dirname(from) ? undefined : folderOf(name, dirname(from));
}

/** Without packages that lie within. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? sum : sum + bytesIn(path);
    return sum + statSync(path).size;
  }, 0);
}
