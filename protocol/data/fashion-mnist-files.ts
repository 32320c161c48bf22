/** Fashion-MNIST's files on this machine: where they are looked for, read, verified and cached. Fetches nothing. */
import { lstatSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';
import { ConfigError, describeError } from '../errors.ts';
import { userCacheFolder } from './cache-folder.ts';
import { describeSystemError } from '../system-errors.ts';
import { createFileAtomically } from '../atomic-file.ts';
import { fileBytes, sha256OfBytes } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import type { CanonicalDataset } from './canonical.ts';
import {
  canonicalFashionMnist,
  DATASET_FILES,
  DATASET_SHA256,
  refuseOther,
  storedFashionMnist,
  verifyDatasetFile,
} from './fashion-mnist.ts';
import type { DatasetBytes, DatasetFile } from './fashion-mnist.ts';

/** Where Debian's package `dataset-fashion-mnist` puts the files. */
export const DEBIAN_FOLDER = '/usr/share/datasets/fashion-mnist';

/** The largest file has 47 MB: what decompresses to more than this is none of them. */
export const MAX_FILE_BYTES = 100_000_000;

/** Why there is no cache, and the cure. */
export const NO_CACHE =
  'cannot be kept: this user has no home folder: set $HOME or $XDG_CACHE_HOME, or name a folder by --data-dir';

export interface DatasetPlace {
  readonly folder: string;
  /** Why it is looked at, for messages: "--data-dir", "the user's cache". */
  readonly origin: string;
  /** Named by the user: files that are missing there are an error, not a reason to look further. */
  readonly isExplicit: boolean;
}

/** The user's cache of the four files; undefined for a user who has none, see `userCacheFolder`. */
export function cacheFolder(): string | undefined {
  const cache = userCacheFolder();
  return cache === undefined ? undefined : join(cache, 'fashion-mnist');
}

/** The places that are looked at, in order. A folder that the user named is the only one. */
export function datasetPlaces(dataDir?: string): DatasetPlace[] {
  if (dataDir !== undefined) return [{ folder: dataDir, origin: '--data-dir', isExplicit: true }];
  const { FASHION_MNIST_DIR: folder } = process.env;
  if (folder !== undefined && folder !== '') return [{ folder, origin: '$FASHION_MNIST_DIR', isExplicit: true }];
  const cache = cacheFolder();
  return [
    ...(cache === undefined ? [] : [{ folder: cache, origin: "the user's cache", isExplicit: false }]),
    { folder: DEBIAN_FOLDER, origin: "Debian's package", isExplicit: false },
  ];
}

/**
 * The path of a file in a folder; undefined when neither it nor its .gz is there. Of a plain file and a .gz the plain one
 * is read: it needs no decompression, and it is the form in which this program stores files.
 *
 * Throws `ConfigError` when the folder may not be searched.
 */
export function locateDatasetFile(folder: string, file: DatasetFile): string | undefined {
  return [join(folder, file), join(folder, `${file}.gz`)].find(isThere);
}

/** Whether anything has that name: a link that leads nowhere, too, which is then said when it is read. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
}

/**
 * The verified files of the first place that has all of them; undefined when none has.
 *
 * Throws `ConfigError` when a file is truncated, altered or may not be read, and when a folder that the user named has
 * not all four. It never passes over a damaged copy for another place: the user should know.
 */
export async function readDatasetFiles(places: readonly DatasetPlace[]): Promise<DatasetBytes | undefined> {
  for (const place of places) {
    const missing = missingFiles(place);
    if (missing.length > 0 && place.isExplicit) throw refuseIncomplete(place, missing);
    // The rest may be on its way there, by a process that is still fetching.
    if (missing.length > 0) continue;
    const files = await Promise.all(DATASET_FILES.map((file) => readDatasetFile(place.folder, file)));
    return Object.fromEntries(DATASET_FILES.map((file, i) => [file, files[i]!])) as unknown as DatasetBytes;
  }
  return undefined;
}

/**
 * The dataset in the first of `places` that has its files, verified. Files that are not compressed stay where they are, and
 * are read as they are needed. Otherwise as {@link readDatasetFiles}.
 */
export async function openDatasetFiles(places: readonly DatasetPlace[]): Promise<CanonicalDataset | undefined> {
  for (const place of places) {
    const missing = missingFiles(place);
    if (missing.length > 0 && place.isExplicit) throw refuseIncomplete(place, missing);
    if (missing.length > 0) continue;
    const isPlain = (file: DatasetFile) => !locateDatasetFile(place.folder, file)!.endsWith('.gz');
    if (!DATASET_FILES.every(isPlain)) return canonicalFashionMnist((await readDatasetFiles([place]))!);
    return storedFashionMnist(await Promise.all(DATASET_FILES.map((file) => openPlainFile(place.folder, file))));
  }
  return undefined;
}

async function openPlainFile(folder: string, file: DatasetFile): Promise<ByteSource> {
  const path = join(folder, file);
  const bytes = fileBytes(path);
  const found = await sha256OfBytes(bytes).catch((error: unknown) => {
    bytes.close();
    throw error;
  });
  if (found === DATASET_SHA256[file]) return bytes;
  bytes.close();
  throw refuseOther(file, { path, found, numBytes: bytes.byteLength, cure: cureFor(folder) });
}

/**
 * Those of the four that a place has not. A usual place that this user may not search counts as empty; for one that the
 * user named this throws `ConfigError`.
 */
export function missingFiles({ folder, isExplicit }: DatasetPlace): DatasetFile[] {
  try {
    return DATASET_FILES.filter((file) => locateDatasetFile(folder, file) === undefined);
  } catch (error) {
    if (isExplicit) throw error;
    return DATASET_FILES;
  }
}

function refuseIncomplete({ folder, origin }: DatasetPlace, missing: readonly DatasetFile[]): ConfigError {
  return new ConfigError(
    `${join(folder, missing[0]!)} (.gz): not found in ${origin}, expected the four files of Fashion-MNIST, ` +
      `missing ${missing.length}: run \`gradsock data fetch --data-dir ${folder}\`, which adds what is missing and ` +
      'replaces nothing',
  );
}

/** The verified, uncompressed bytes of a file that is in `folder`. */
export async function readDatasetFile(folder: string, file: DatasetFile): Promise<Uint8Array<ArrayBuffer>> {
  const path = locateDatasetFile(folder, file);
  if (path === undefined) throw new ConfigError(`${join(folder, file)}: not found: run \`gradsock data fetch\``);
  const stored = await readFile(path).catch((error: unknown) => {
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  });
  const bytes = path.endsWith('.gz') ? await decompress(file, stored, path, cureFor(folder)) : stored;
  verifyDatasetFile(file, bytes, path, cureFor(folder));
  // Not as a Buffer, whose `slice` shares memory where an array's copies.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Keeps verified bytes in `folder` for the next time; a whole copy that is there already stays. Throws `ConfigError`
 * when they cannot be written, or when something else has that name: it is not replaced.
 */
export async function storeDatasetFile(folder: string, file: DatasetFile, bytes: Uint8Array): Promise<void> {
  const path = join(folder, file);
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new ConfigError(describeSystemError(folder, 'made', error), { cause: error });
  }
  try {
    await createFileAtomically(path, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new ConfigError(describeSystemError(path, 'written', error), { cause: error });
    }
    // Another process may have stored it in the meantime.
    await readDatasetFile(folder, file);
  }
}

/**
 * Stores verified bytes for the next time, if that can be: what cannot be kept is told to `log`, for the samples are at
 * hand all the same. `folder`: undefined for a user who has no cache.
 */
export async function keepDatasetFile(
  folder: string | undefined,
  file: DatasetFile,
  bytes: Uint8Array,
  log: (line: string) => void,
): Promise<void> {
  try {
    if (folder === undefined) throw new ConfigError(`${file}: ${NO_CACHE}`);
    await storeDatasetFile(folder, file, bytes);
  } catch (error) {
    log(`${describeError(error)}; this run goes on without keeping it`);
  }
}

/** What to do about a file that has the name of one of the four and is another: it may be the user's only copy. */
function cureFor(folder: string): string {
  if (folder === cacheFolder()) return 'run `gradsock data fetch`, which sets it aside and fetches it anew';
  return 'it is never replaced: name another folder, or move that file away and run `gradsock data fetch`';
}

/** Decompresses all that is whole of a file: of one cut short, what was there, for its sha256 to tell. */
async function decompress(
  file: DatasetFile,
  bytes: Uint8Array,
  path: string,
  cure: string,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await promisify(gunzip)(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_FILE_BYTES });
  } catch (error) {
    throw new ConfigError(
      `${path}: expected sha256 ${DATASET_SHA256[file]} uncompressed, found a damaged gzip file ` +
        `(${describeError(error)}): ${cure}`,
    );
  }
}
