/**
 * Removes compiled files from `dist/` whose source is gone, so that no package holds them. Files that are not compiled from
 * TypeScript, such as the builds of the native engine and the bundle of the dashboard's page, stay.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const COMPILED = /\.js(\.map)?$/;
const SOURCES = ['.ts', '.tsx'];
/** Bundles, which consist of many sources. */
const ASSETS = 'assets';

/** Returns what was removed: paths below `output`. A file `a/b.js` belongs to the source `a/b.ts`, or `a/b.tsx`, below `sources`. */
export function removeStaleOutput(output: string, sources: string): string[] {
  const stale = readdirSync(output, { recursive: true, encoding: 'utf8' }).filter(
    (path) =>
      COMPILED.test(path) &&
      !path.startsWith(ASSETS + sep) &&
      !SOURCES.some((ending) => existsSync(join(sources, path.replace(COMPILED, ending)))),
  );
  for (const path of stale) rmSync(join(output, path));
  return stale;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Compiled, this file lies in dist/scripts/develop.
  const output = fileURLToPath(new URL('../..', import.meta.url));
  removeStaleOutput(output, join(output, '..'));
}
