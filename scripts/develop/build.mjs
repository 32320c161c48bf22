/**
 * `npm run build`: compiles the sources to `dist/`, bundles the dashboard's page and builds the native engine. Where the sources are those that were
 * compiled last, by their hash, compiling is skipped: it takes ten seconds, and tests and benchmarks begin with a build.
 *
 * Plain JavaScript, because it runs before anything is compiled.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, parse } from 'node:path';
import process from 'node:process';
import { fileURLToPath, URL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUTPUT = join(ROOT, 'dist');
const SOURCES = ['protocol', 'coordinator', 'worker', 'scripts'];
const SETTINGS = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
/** What the page is made of; its script and its styles, with all that they import, become `dist/assets/dashboard.js` and `.css`. */
const PAGE = {
  'dashboard.js': 'coordinator/dashboard/page/main.tsx',
  'dashboard.css': 'coordinator/dashboard/page/styles/main.css',
};
const ASSETS = join('dist', 'assets');
const STAMP = join(OUTPUT, 'build-stamp.json');

const filesIn = (folder, ending) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();

/** What the output depends on, and how much of it there is: part of it may have been removed. */
function stamp() {
  const hash = createHash('sha256');
  const sources = SOURCES.flatMap((folder) => ['.ts', '.tsx', '.css'].flatMap((ending) => filesIn(folder, ending)));
  for (const path of [...sources, 'scripts/develop/build.mjs', ...SETTINGS]) {
    hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)));
  }
  const outputs = existsSync(OUTPUT) ? [...filesIn('dist', '.js'), ...filesIn('dist', '.d.ts')] : [];
  const assets = Object.keys(PAGE).map((name) => join(ROOT, ASSETS, name));
  const assetBytes = assets.map((path) => (existsSync(path) ? statSync(path).size : 0));
  return JSON.stringify({ sources: hash.digest('hex'), numFiles: outputs.length, assetBytes });
}

/** The page's files, minified, with nothing that is loaded from elsewhere. */
async function bundlePage() {
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: ROOT,
    entryPoints: Object.entries(PAGE).map(([name, path]) => ({ in: path, out: parse(name).name })),
    outdir: ASSETS,
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2022'],
    legalComments: 'none',
    logLevel: 'warning',
  });
}

const run = (...args) => execFileSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });

if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== stamp()) {
  rmSync(STAMP, { force: true });
  try {
    const compile = [createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json'];
    run(...compile);
    // Once more, now that the types are known to be sound: comments are for declarations alone, and a fifth of the package.
    run(...compile, '--removeComments', '--noCheck', '--declaration', 'false');
    await bundlePage();
  } catch {
    // The compiler, or the bundler, has said what is wrong.
    process.exit(1);
  }
  run('dist/scripts/develop/remove-stale-output.js');
  run('dist/scripts/develop/trim-types.js');
  writeFileSync(STAMP, stamp());
}
run('dist/scripts/build-native.js');
