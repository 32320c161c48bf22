/**
 * Leaves of the declarations that the compiler wrote to `dist/` those that the library's own lead to, and gives the imports
 * in them the endings of compiled files, as in JavaScript: the compiler leaves those as they are in the sources.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const DECLARATION = '.d.ts';
/** `from './x.ts'`, `from './x.tsx'` and `import('./x.ts')`, with the path before its ending. */
const IMPORT = /((?:from|import)\s*\(?\s*['"])(\.\.?\/[^'"]+)\.tsx?(?=['"])/g;

/** `entry`: the declarations of the library, below `output`. Returns the paths, below `output`, of those that are left. */
export function trimTypes(output: string, entry: string): string[] {
  const kept = new Set<string>();
  const waiting = [join(output, entry)];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (kept.has(path)) continue;
    kept.add(path);
    const text = readFileSync(path, 'utf8');
    for (const [, , target] of text.matchAll(IMPORT)) waiting.push(join(dirname(path), `${target!}${DECLARATION}`));
    writeFileSync(path, text.replace(IMPORT, '$1$2.js'));
  }
  for (const name of readdirSync(output, { recursive: true, encoding: 'utf8' })) {
    const path = join(output, name);
    if (name.endsWith(DECLARATION) && !kept.has(path)) rmSync(path);
  }
  return [...kept].map((path) => relative(output, path)).sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Compiled, this file lies in dist/scripts/develop.
  trimTypes(fileURLToPath(new URL('../..', import.meta.url)), 'scripts/library/index.d.ts');
}
