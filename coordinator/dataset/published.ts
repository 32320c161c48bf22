/** The files of a known dataset: found in the user's cache or a folder, fetched from their publishers, read. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileAtomically } from '../../protocol/atomic-file.ts';
import { countOf } from '../../protocol/counts.ts';
import { userCacheFolder } from '../../protocol/data/cache-folder.ts';
import { toCanonical } from '../../protocol/data/canonical.ts';
import type { CanonicalDataset, RawDataset } from '../../protocol/data/canonical.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { download } from './download.ts';
import type { KnownDataset, PublishedFile } from './known-datasets.ts';
import { readCifar10Folder } from './readers/cifar10.ts';
import { readIdxFolder } from './readers/idx.ts';
import { keepIndexed, keyOfSums, openIndexed } from './source-index.ts';
import { unpack } from './unpack.ts';

export interface PublishedOptions {
  /** The only folder to look in. Default: the user's cache. */
  readonly dataDir?: string | undefined;
  readonly log: (line: string) => void;
  /** Default: {@link downloadPublished}. */
  readonly fetchFile?: FetchFile;
}

/** The verified bytes of a published file. Rejects with the reasons when no publisher gives them. */
export type FetchFile = (file: PublishedFile, log: (line: string) => void) => Promise<Uint8Array>;

/** Links of 1 Mbit/s are the slowest on which a download is worth waiting for. */
const SLOWEST_BYTES_PER_MS = 125;

/** The dataset: from the cache, else read from its files, which are downloaded where they are not on this machine. */
export async function openPublished(dataset: KnownDataset, options: PublishedOptions): Promise<CanonicalDataset> {
  const { log } = options;
  const { name, files } = dataset;
  const key = keyOfSums(
    name,
    files.map(({ sha256 }) => sha256),
  );
  const cached = options.dataDir === undefined ? await openIndexed(key, log) : undefined;
  if (cached) return cached;
  const folder = await fetchPublished(dataset, options);
  const raw = await readPublished(dataset, folder);
  return keepIndexed(key, await toCanonical(raw), log);
}

/**
 * Has the files of a dataset in a folder, verified, and returns that folder. What is there is verified and never replaced;
 * what is missing is downloaded, into the user's cache, or by `isFetch` into `dataDir`.
 *
 * Throws `ConfigError` for a file that is another, for a `dataDir` without the files, and when they cannot be fetched.
 */
export async function fetchPublished(
  { name, files }: KnownDataset,
  { dataDir, log, fetchFile = downloadPublished, isFetch = false }: PublishedOptions & { readonly isFetch?: boolean },
): Promise<string> {
  const folder = dataDir ?? publishedFolder(name);
  if (folder === undefined) {
    throw new ConfigError(`${name}: cannot be kept: set $HOME or $XDG_CACHE_HOME, or name a folder by --data-dir`);
  }
  for (const file of files) {
    const path = join(folder, file.name);
    if (existsSync(path)) {
      await verifyPublished(path, file);
      continue;
    }
    if (dataDir !== undefined && !isFetch) {
      throw new ConfigError(
        `${path}: not found: expected the published files of ${name}: run \`gradsock data fetch ${name} --data-dir ${dataDir}\`, ` +
          'or give files of another form by --data PATH',
      );
    }
    const bytes = await fetchFile(file, log).catch((error: unknown) => {
      throw new ConfigError(
        `${name}: ${file.name} could not be fetched: ${describeError(error)}: put it into a folder and name that by --data-dir`,
      );
    });
    await store(folder, path, bytes);
  }
  return folder;
}

/** The user's cache of a dataset's published files. */
function publishedFolder(name: string): string | undefined {
  const cache = userCacheFolder();
  return cache === undefined ? undefined : join(cache, name);
}

async function store(folder: string, path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await createFileAtomically(path, bytes);
  } catch (error) {
    // Another process may have stored it in the meantime: it is verified when it is read.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new ConfigError(describeSystemError(path, 'written', error), { cause: error });
  }
}

/** Throws `ConfigError` for a file that is not the published one. */
async function verifyPublished(path: string, file: PublishedFile): Promise<void> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  });
  const problem = difference(file, bytes);
  if (problem !== undefined) {
    throw new ConfigError(`${path}: ${problem}: it is never replaced: move it away, and it is fetched anew`);
  }
}

function difference({ sha256, numBytes }: PublishedFile, bytes: Uint8Array): string | undefined {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found === sha256) return undefined;
  return `expected the published file, ${countOf(numBytes, 'byte')} with sha256 ${sha256}, got ${countOf(bytes.length, 'byte')} with ${found}`;
}

/** From the first of its publishers that has it. */
const downloadPublished: FetchFile = async (file, log) => {
  const problems: string[] = [];
  for (const text of file.urls) {
    try {
      const deadlineMs = 300_000 + file.numBytes / SLOWEST_BYTES_PER_MS;
      const bytes = await download(new URL(text), { environment: process.env, log, deadlineMs });
      const problem = difference(file, bytes);
      if (problem === undefined) return bytes;
      problems.push(`${text}: ${problem}`);
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  throw new Error(problems.join('; '));
};

/** The samples of published files. */
async function readPublished({ form, classes, files }: KnownDataset, folder: string): Promise<RawDataset> {
  const options = { log: () => {}, classes };
  const isPacked = files.some((file) => /\.(zip|tar\.gz)$/.test(file.name));
  if (!isPacked) return readIdxFolder(folder, options);
  const unpacked = mkdtempSync(join(tmpdir(), 'gradsock-data-'));
  try {
    for (const file of files) await unpack(join(folder, file.name), unpacked);
    return form.kind === 'cifar10'
      ? await readCifar10Folder(unpacked, options)
      : await readIdxFolder(unpacked, { ...options, ...form });
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}
