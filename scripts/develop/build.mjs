/**
 * `npm run build`: compiles the sources to `dist/` and builds the native engine. Where the sources are those that were
 * compiled last, by their hash, compiling is skipped: it takes ten seconds, and tests and benchmarks begin with a build.
 *
 * Plain JavaScript, because it runs before anything is compiled.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, URL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUTPUT = join(ROOT, 'dist');
const SOURCES = ['protocol', 'coordinator', 'worker', 'scripts'];
const SETTINGS = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
const STAMP = join(OUTPUT, 'build-stamp.json');

const filesIn = (folder, ending) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();

/** What the output depends on, and how much of it there is: part of it may have been removed. */
function stamp() {
  const hash = createHash('sha256');
  for (const path of [...SOURCES.flatMap((folder) => filesIn(folder, '.ts')), ...SETTINGS]) {
    hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)));
  }
  const numFiles = existsSync(OUTPUT) ? filesIn('dist', '.js').length + filesIn('dist', '.d.ts').length : 0;
  return JSON.stringify({ sources: hash.digest('hex'), numFiles });
}

const run = (...args) => execFileSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });

if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== stamp()) {
  rmSync(STAMP, { force: true });
  try {
    run(createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json');
  } catch {
    // The compiler has said what is wrong.
    process.exit(1);
  }
  run('dist/scripts/develop/remove-stale-output.js');
  run('dist/scripts/develop/trim-types.js');
  writeFileSync(STAMP, stamp());
}
run('dist/scripts/build-native.js');
