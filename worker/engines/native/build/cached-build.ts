/**
 * Where builds of the native engine lie in the user's cache: one folder for each recipe and compiler,
 * `native/RECIPE-COMPILER`. Machines that share a home folder and are alike share a build; machines that differ have one
 * each. A folder may be deleted at any time.
 */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { userCacheFolder } from '../../../../protocol/data/cache-folder.ts';
import { compilerIdentity } from './compiler.ts';
import { recipeKey } from './recipe.ts';

/** Enough to tell apart what one user has. */
const RECIPE_DIGITS = 16;
const COMPILER_DIGITS = 8;

export interface CachedBuilds {
  /** The folder for this machine's compiler, made or not; undefined where there is no compiler. */
  readonly own: string | undefined;
  /** Folders of the same recipe that other compilers have made, such as those of another machine with this home folder. */
  readonly others: readonly string[];
}

/** Undefined for a user who has no cache, and for a package without the sources. Runs no program. */
export function cachedBuilds(cache = userCacheFolder()): CachedBuilds | undefined {
  if (cache === undefined) return undefined;
  const folder = join(cache, 'native');
  const recipe = recipeKey()?.slice(0, RECIPE_DIGITS);
  if (recipe === undefined) return undefined;
  const compiler = compilerIdentity();
  const own = compiler === undefined ? undefined : join(folder, `${recipe}-${digest(compiler)}`);
  const others = namesIn(folder)
    .filter((name) => name.startsWith(`${recipe}-`))
    .map((name) => join(folder, name))
    .filter((path) => path !== own);
  return { own, others };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, COMPILER_DIGITS);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
