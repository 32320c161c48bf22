/** Fashion-MNIST's files on this machine: where they are looked for, read, verified and cached. Fetches nothing. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';
import { ConfigError, describeError } from '../errors.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { DATASET_FILES, DATASET_SHA256, verifyDatasetFile } from './dataset.ts';
import type { DatasetBytes, DatasetFile } from './dataset.ts';

/** Where Debian's package `dataset-fashion-mnist` puts the files. */
export const DEBIAN_FOLDER = '/usr/share/datasets/fashion-mnist';

/** The largest file has 47 MB: what decompresses to more than this is none of them. */
const MAX_FILE_BYTES = 100_000_000;

export interface DatasetPlace {
  readonly folder: string;
  /** Why it is looked at, for messages: "--data-dir", "the user's cache". */
  readonly origin: string;
  /** Named by the user: files that are missing there are an error, not a reason to look further. */
  readonly isExplicit: boolean;
}

/** The user's cache of the files: `$XDG_CACHE_HOME/gradsock/fashion-mnist`, by default under `~/.cache`. */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: base } = process.env;
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'gradsock', 'fashion-mnist');
}

/** The places that are looked at, in order. A folder that the user named is the only one. */
export function datasetPlaces(dataDir?: string): DatasetPlace[] {
  if (dataDir !== undefined) return [{ folder: dataDir, origin: '--data-dir', isExplicit: true }];
  const { FASHION_MNIST_DIR: folder } = process.env;
  if (folder !== undefined && folder !== '') return [{ folder, origin: '$FASHION_MNIST_DIR', isExplicit: true }];
  return [
    { folder: cacheFolder(), origin: "the user's cache", isExplicit: false },
    { folder: DEBIAN_FOLDER, origin: "Debian's package", isExplicit: false },
  ];
}

/** The path of a file in a folder, uncompressed or .gz; undefined when neither is there. */
export function locateDatasetFile(folder: string, file: DatasetFile): string | undefined {
  return [join(folder, file), join(folder, `${file}.gz`)].find((path) => existsSync(path));
}

/**
 * The verified files of the first place that has any of them; undefined when none has.
 *
 * Throws `ConfigError` when a place has some files and not all, when a file is truncated or altered, and when a folder
 * that the user named has none. It never passes over a damaged copy for another place: the user should know.
 */
export async function readDatasetFiles(places: readonly DatasetPlace[]): Promise<DatasetBytes | undefined> {
  for (const { folder, origin, isExplicit } of places) {
    const missing = DATASET_FILES.filter((file) => locateDatasetFile(folder, file) === undefined);
    if (missing.length === DATASET_FILES.length && !isExplicit) continue;
    if (missing.length > 0) {
      const target = isExplicit ? ` --data-dir ${folder}` : '';
      throw new ConfigError(
        `${join(folder, missing[0]!)} (.gz): not found in ${origin}, expected the four files of Fashion-MNIST, ` +
          `missing ${missing.length}: run \`gradsock data fetch${target}\``,
      );
    }
    const files = await Promise.all(DATASET_FILES.map((file) => readDatasetFile(folder, file)));
    return Object.fromEntries(DATASET_FILES.map((file, i) => [file, files[i]!])) as unknown as DatasetBytes;
  }
  return undefined;
}

/** The verified, uncompressed bytes of a file that is in `folder`. */
export async function readDatasetFile(folder: string, file: DatasetFile): Promise<Uint8Array<ArrayBuffer>> {
  const path = locateDatasetFile(folder, file);
  if (path === undefined) throw new ConfigError(`${join(folder, file)}: not found: run \`gradsock data fetch\``);
  const stored = await readFile(path);
  const bytes = path.endsWith('.gz') ? await decompress(file, stored, path) : stored;
  verifyDatasetFile(file, bytes, path);
  // Not as a Buffer, whose `slice` shares memory where an array's copies.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Keeps verified bytes in `folder` for the next time. */
export async function storeDatasetFile(folder: string, file: DatasetFile, bytes: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFileAtomically(join(folder, file), bytes);
}

/** Decompresses all that is whole of a file: of one cut short, what was there, for its sha256 to tell. */
async function decompress(file: DatasetFile, bytes: Uint8Array, path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await promisify(gunzip)(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_FILE_BYTES });
  } catch (error) {
    throw new ConfigError(
      `${path}: expected sha256 ${DATASET_SHA256[file]} uncompressed, found a damaged gzip file ` +
        `(${describeError(error)}): delete it and run \`gradsock data fetch\``,
    );
  }
}
