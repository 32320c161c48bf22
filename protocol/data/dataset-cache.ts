/**
 * The user's cache of datasets in canonical form, each under its sha256: what a coordinator has read from other forms, and
 * what a worker was sent. A file is verified whenever it is opened; a damaged one is set aside, never used or lost.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { nanoid } from 'nanoid';
import { writeFileThrough } from '../atomic-file.ts';
import { ConfigError } from '../errors.ts';
import { describeSystemError } from '../system-errors.ts';
import { bytesOf, fileBytes, sha256OfBytes } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { userCacheFolder } from './cache-folder.ts';
import { openCanonical } from './canonical.ts';
import type { CanonicalDataset } from './canonical.ts';

/** Written at once. */
const PIECE_BYTES = 16 * 2 ** 20;

/** `$XDG_CACHE_HOME/gradsock/datasets`, by default under `~/.cache`; undefined for a user who has no cache. */
export function datasetCacheFolder(): string | undefined {
  const cache = userCacheFolder();
  return cache === undefined ? undefined : join(cache, 'datasets');
}

/** Where the cache keeps the dataset with that sha256, whether or not it is there. */
export function cachedPath(sha256: string): string | undefined {
  const folder = datasetCacheFolder();
  return folder === undefined ? undefined : join(folder, `${sha256}.safetensors`);
}

/** The cached dataset, verified; undefined where there is none. One that is damaged is set aside, which `log` is told. */
export async function openCached(sha256: string, log: (line: string) => void): Promise<CanonicalDataset | undefined> {
  const path = cachedPath(sha256);
  if (path === undefined || !existsSync(path)) return undefined;
  const bytes = fileBytes(path);
  const found = await sha256OfBytes(bytes);
  if (found === sha256) return openCanonical(bytes, sha256, path);
  bytes.close();
  const aside = `${path}.damaged-${nanoid(6)}`;
  await rename(path, aside).catch((error: unknown) => {
    throw new ConfigError(describeSystemError(path, 'written', error), { cause: error });
  });
  log(`${path}: expected that sha256, found ${found}: set aside as ${aside}`);
  return undefined;
}

/**
 * Has `write` fill the file that the cache keeps for `sha256`, which is there afterwards, whole, or not at all; and returns
 * its path. Throws `ConfigError` when there is no cache or it cannot be written, and what `write` throws.
 */
export async function writeCached(sha256: string, write: (file: FileHandle) => Promise<void>): Promise<string> {
  const path = cachedPath(sha256);
  if (path === undefined) {
    throw new ConfigError('the dataset: cannot be kept: this user has no home folder: set $HOME or $XDG_CACHE_HOME');
  }
  const folder = datasetCacheFolder()!;
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw new ConfigError(describeSystemError(folder, 'made', error), { cause: error });
  });
  try {
    // Another process may write the same: either has the right bytes.
    await writeFileThrough(path, write);
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) {
      throw new ConfigError(describeSystemError(path, 'written', error), { cause: error });
    }
    throw error;
  }
  return path;
}

/** Keeps a dataset, unless it is there already. Throws as {@link writeCached}. */
export async function keepCanonical({ sha256, bytes }: CanonicalDataset): Promise<string> {
  const path = cachedPath(sha256);
  if (path !== undefined && existsSync(path)) return path;
  return writeCached(sha256, (file) => writeAll(file, bytes));
}

async function writeAll(file: FileHandle, bytes: ByteSource): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength; offset += PIECE_BYTES) {
    await file.writeFile(bytesOf(bytes, offset, Math.min(PIECE_BYTES, bytes.byteLength - offset)));
  }
}
