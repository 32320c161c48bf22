/**
 * Which canonical form a source had when it was last read, so that it is read once: a small file in the user's cache for
 * each source, under a key that changes when the source does.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { datasetCacheFolder, keepCanonical, openCached } from '../../protocol/data/dataset-cache.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';

const entrySchema = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** A key for files and folders as they are now: names, sizes and times of all files, and how they are read. */
export function keyOfFiles(path: string, how: unknown): string {
  const hash = createHash('sha256').update(JSON.stringify(['files', resolve(path), how]));
  const add = (file: string) => {
    const { size, mtimeMs, ino } = statSync(file);
    hash.update(JSON.stringify([relative(path, file), size, mtimeMs, ino]));
  };
  const walk = (folder: string) => {
    const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const child = join(folder, entry.name);
      if (entry.isDirectory()) walk(child);
      else if (existsSync(child)) add(child);
    }
  };
  try {
    if (statSync(path).isDirectory()) walk(path);
    else add(path);
  } catch (error) {
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
  return hash.digest('hex');
}

/** A key for published files, which are known by their sums. */
export function keyOfSums(name: string, sums: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify(['published', name, sums]))
    .digest('hex');
}

/** The dataset that a source had under `key`; undefined where it was not read before, or its cached form is gone. */
export async function openIndexed(key: string, log: (line: string) => void): Promise<CanonicalDataset | undefined> {
  const path = indexPath(key);
  if (path === undefined || !existsSync(path)) return undefined;
  let entry: unknown;
  try {
    entry = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // It is only a hint: reading the source anew replaces it.
    return undefined;
  }
  const checked = entrySchema.safeParse(entry);
  return checked.success ? openCached(checked.data.sha256, log) : undefined;
}

/**
 * Keeps a dataset in the user's cache, and under `key` what the source is. Gives it as it is in the cache, where a large
 * one takes no memory; as it was where it cannot be kept, which `log` is told.
 */
export async function keepIndexed(
  key: string,
  dataset: CanonicalDataset,
  log: (line: string) => void,
): Promise<CanonicalDataset> {
  try {
    await keepCanonical(dataset);
    const path = indexPath(key)!;
    await mkdir(join(path, '..'), { recursive: true });
    await writeFileAtomically(path, JSON.stringify({ sha256: dataset.sha256 }));
  } catch (error) {
    log(`${describeError(error)}; this run goes on without keeping it`);
    return dataset;
  }
  return (await openCached(dataset.sha256, log)) ?? dataset;
}

function indexPath(key: string): string | undefined {
  const folder = datasetCacheFolder();
  return folder === undefined ? undefined : join(folder, 'sources', `${key}.json`);
}
