/**
 * Fashion-MNIST for a run, and the fetching where it is not on the machine. A run downloads from the publishers at most;
 * packages are installed by `gradsock data fetch` alone. No file is ever replaced.
 */
import { rename } from 'node:fs/promises';
import { nanoid } from 'nanoid';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { DATASET_FILES } from '../../protocol/data/fashion-mnist.ts';
import type { DatasetBytes, DatasetFile } from '../../protocol/data/fashion-mnist.ts';
import {
  cacheFolder,
  datasetPlaces,
  keepDatasetFile,
  locateDatasetFile,
  missingFiles,
  NO_CACHE,
  readDatasetFile,
  readDatasetFiles,
  storeDatasetFile,
} from '../../protocol/data/fashion-mnist-files.ts';
import type { DatasetPlace } from '../../protocol/data/fashion-mnist-files.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { DEBIAN_PACKAGE, takeFromDebian } from './debian-package.ts';
import { downloadDatasetFile } from './download.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type PartOfDataset = Partial<Record<DatasetFile, Bytes>>;

/** Where a file may come from; rejects with the reason where it cannot. */
export type DatasetSource = (file: DatasetFile, log: (line: string) => void) => Promise<Bytes>;

export interface FetchOptions {
  /** `--data-dir`: the only place to look, and to store into. */
  readonly dataDir?: string | undefined;
  readonly log: (line: string) => void;
  /** Default: {@link RUN_SOURCES} or {@link FETCH_SOURCES}. */
  readonly sources?: readonly DatasetSource[];
  /** Where this machine may have the files. Default: the usual places, or `dataDir` alone. */
  readonly places?: readonly DatasetPlace[];
}

/** What a run may do by itself. Nothing is installed on a machine without the user's word. */
export const RUN_SOURCES: readonly DatasetSource[] = [downloadDatasetFile];
/** What `gradsock data fetch` does, in this order. */
const FETCH_SOURCES: readonly DatasetSource[] = [downloadDatasetFile, takeFromDebian];

const ELSEWHERE = 'put the four files into a folder and name it by --data-dir or $FASHION_MNIST_DIR';

/**
 * The verified files for a run: found on this machine, else downloaded, and kept in the user's cache if that can be.
 *
 * Throws `ConfigError`: for a damaged copy, for a `--data-dir` without the files, and, when they could not be downloaded,
 * with the reason and the cure.
 */
export async function obtainDataset(options: FetchOptions): Promise<DatasetBytes> {
  const { dataDir, log, sources = RUN_SOURCES, places = datasetPlaces(dataDir) } = options;
  const found = await readDatasetFiles(places);
  if (found) return found;
  const cure =
    `Run \`gradsock data fetch\`, which as root on Debian installs the package ${DEBIAN_PACKAGE} by apt-get; ` +
    `elsewhere ${ELSEWHERE}`;
  const folder = cacheFolder();
  return fetchFrom(sources, {
    places,
    log,
    cure,
    present: folder === undefined ? {} : await readPresent({ folder, origin: "the user's cache", isExplicit: false }),
    keep: (file, bytes) => keepDatasetFile(folder, file, bytes, log),
  });
}

/**
 * `gradsock data fetch`: completes the files in `dataDir`, $FASHION_MNIST_DIR or the user's cache, and returns them. Where
 * no folder is named and this machine has them already, nothing is fetched.
 *
 * A file that is there and is not Fashion-MNIST's is never replaced: in a folder that the user named it is refused before
 * anything is fetched, in the user's cache it is set aside under another name. Throws `ConfigError` for the first, for
 * what cannot be stored, and when nothing could be fetched, with each source's reason and the cure.
 */
export async function fetchDataset(options: FetchOptions): Promise<DatasetBytes> {
  const { dataDir, log, sources = FETCH_SOURCES, places = datasetPlaces(dataDir) } = options;
  const named = places.find(({ isExplicit }) => isExplicit);
  if (!named) {
    await setDamagedAside(log);
    const whole = await readDatasetFiles(places).catch((error: unknown) => log(describeError(error)));
    const used = places.find((place) => missingFiles(place).length === 0);
    if (whole && used) {
      log(`Fashion-MNIST is in ${used.folder}, verified`);
      return whole;
    }
  }
  const folder = named?.folder ?? cacheFolder();
  if (folder === undefined) throw new ConfigError(`Fashion-MNIST: ${NO_CACHE}`);
  const files = await fetchFrom(sources, {
    places,
    log,
    cure: `On Debian run \`apt-get install ${DEBIAN_PACKAGE}\` as root; elsewhere ${ELSEWHERE}`,
    present: await readPresent(named ?? { folder, origin: "the user's cache", isExplicit: true }),
    keep: (file, bytes) => storeDatasetFile(folder, file, bytes),
  });
  log(`Fashion-MNIST is in ${folder}, verified`);
  return files;
}

/** The files that a place has, all verified. Throws `ConfigError` for one that is something else. */
async function readPresent(place: DatasetPlace): Promise<PartOfDataset> {
  const missing = missingFiles(place);
  const present: PartOfDataset = {};
  for (const file of DATASET_FILES) {
    if (!missing.includes(file)) present[file] = await readDatasetFile(place.folder, file);
  }
  return present;
}

/** In the user's cache: what is not Fashion-MNIST's gets another name, so that nothing is lost, and says so. */
async function setDamagedAside(log: (line: string) => void): Promise<void> {
  const folder = cacheFolder();
  if (folder === undefined) return;
  for (const file of DATASET_FILES) {
    // At most two names are in the way: the plain file's and the .gz.
    for (let path = locateDatasetFile(folder, file); path !== undefined; path = locateDatasetFile(folder, file)) {
      const problem = await readDatasetFile(folder, file).then(() => undefined, describeError);
      if (problem === undefined) break;
      const aside = `${path}.damaged-${nanoid(6)}`;
      await rename(path, aside).catch((error: unknown) => {
        throw new ConfigError(describeSystemError(path, 'written', error), { cause: error });
      });
      log(`${problem}: set aside as ${aside}`);
    }
  }
}

interface Fetch {
  readonly places: readonly DatasetPlace[];
  readonly log: (line: string) => void;
  readonly cure: string;
  /** What need not be fetched. */
  readonly present: PartOfDataset;
  readonly keep: (file: DatasetFile, bytes: Bytes) => Promise<void>;
}

/** All four: from each source in turn what is still missing. */
async function fetchFrom(sources: readonly DatasetSource[], fetch: Fetch): Promise<DatasetBytes> {
  const files: PartOfDataset = { ...fetch.present };
  const problems: string[] = [];
  for (const source of sources) {
    const problem = await completeFrom(source, files, fetch);
    if (problem === undefined) return files as DatasetBytes;
    problems.push(problem);
  }
  const looked = fetch.places.map(({ folder, origin }) => `${folder} (${origin})`);
  throw new ConfigError(
    `Fashion-MNIST was not found in ${looked.join(' or ')} and could not be fetched:\n  ${problems.join('\n  ')}\n` +
      fetch.cure,
  );
}

/** Returns why the source cannot give a file. Each is kept as it comes: who interrupts this need not fetch it again. */
async function completeFrom(
  source: DatasetSource,
  files: PartOfDataset,
  { log, keep }: Fetch,
): Promise<string | undefined> {
  for (const file of DATASET_FILES) {
    if (files[file]) continue;
    let bytes: Bytes;
    try {
      bytes = await source(file, log);
    } catch (error) {
      return describeError(error);
    }
    await keep(file, bytes);
    files[file] = bytes;
  }
  return undefined;
}
