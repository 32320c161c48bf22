/** Fetching Fashion-MNIST where it is not on the machine: from its publishers, else from Debian's package. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { countOf } from '../protocol/counts.ts';
import { ConfigError, describeError } from '../protocol/errors.ts';
import { DATASET_FILES, parseDataset, verifyDatasetFile } from '../protocol/state/dataset.ts';
import type { Dataset, DatasetBytes, DatasetFile } from '../protocol/state/dataset.ts';
import type { RunConfig } from './run-config.ts';
import {
  cacheFolder,
  datasetPlaces,
  DEBIAN_FOLDER,
  locateDatasetFile,
  readDatasetFile,
  readDatasetFiles,
  storeDatasetFile,
} from '../protocol/state/dataset-files.ts';

/** The publishers' own repository. */
const PUBLISHERS = 'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion';
const DEBIAN_PACKAGE = 'dataset-fashion-mnist';
const DOWNLOAD_DEADLINE_MS = 300_000;
const INSTALL_DEADLINE_MS = 300_000;

export interface FetchOptions {
  /** `--data-dir`: the only place to look, and to store into. */
  readonly dataDir?: string | undefined;
  readonly log: (line: string) => void;
}

/**
 * The verified files: found on this machine, else fetched and kept in the user's cache.
 *
 * Throws `ConfigError`: for a damaged copy, for a `--data-dir` without the files, and, when nothing could be fetched,
 * with each place that was tried and the cure.
 */
export async function obtainDataset({ dataDir, log }: FetchOptions): Promise<DatasetBytes> {
  return (await readDatasetFiles(datasetPlaces(dataDir))) ?? (await fetchDataset({ log }));
}

/** What a configuration says of the samples of a run. */
export type SampleSelection = Pick<RunConfig, 'trainSamples' | 'testSamples' | 'validationSamples'>;

/**
 * Samples for a run: the first `trainSamples` and `testSamples` of the files, all when undefined; the last
 * `validationSamples` of those training samples are held back, and evaluated instead of the test samples.
 */
export function selectSamples(bytes: DatasetBytes, selection: SampleSelection = {}): Dataset {
  const { trainSamples, testSamples, validationSamples = 0 } = selection;
  const all = parseDataset(bytes);
  const check = (flag: string, asked: number | undefined, available: number) => {
    if (asked !== undefined && asked > available) {
      throw new ConfigError(`${flag} ${asked}: Fashion-MNIST has ${available}: use at most that many`);
    }
  };
  check('--train-samples', trainSamples, all.train.numSamples);
  check('--test-samples', testSamples, all.evaluation.numSamples);
  const numTraining = trainSamples ?? all.train.numSamples;
  if (validationSamples >= numTraining) {
    throw new ConfigError(
      `--validation ${validationSamples} of ${countOf(numTraining, 'training sample')}: leave some to train on`,
    );
  }
  return parseDataset(bytes, {
    numTrainSamples: numTraining - validationSamples,
    numTestSamples: testSamples,
    numValidationSamples: validationSamples,
  });
}

/**
 * Fetches the files into `dataDir` or the user's cache and returns them. A file that is there and whole is not fetched
 * again; one that is damaged is replaced.
 */
export async function fetchDataset({ dataDir, log }: FetchOptions): Promise<DatasetBytes> {
  const folder = dataDir ?? cacheFolder();
  const problems: string[] = [];
  for (const source of [downloadFile, takeFromDebian]) {
    try {
      const files: Partial<Record<DatasetFile, Uint8Array<ArrayBuffer>>> = {};
      for (const file of DATASET_FILES) {
        const present = await readIfWhole(folder, file);
        files[file] = present ?? (await source(file, log));
        if (!present) await storeDatasetFile(folder, file, files[file]);
      }
      log(`Fashion-MNIST is in ${folder}, verified`);
      return files as DatasetBytes;
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  const looked = datasetPlaces(dataDir).map((place) => `${place.folder} (${place.origin})`);
  throw new ConfigError(
    `Fashion-MNIST was not found in ${looked.join(' or ')} and could not be fetched:\n  ${problems.join('\n  ')}\n` +
      `On Debian run \`apt-get install ${DEBIAN_PACKAGE}\` as root; elsewhere put the four files into a folder and ` +
      'name it by --data-dir or $FASHION_MNIST_DIR',
  );
}

async function readIfWhole(folder: string, file: DatasetFile): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (locateDatasetFile(folder, file) === undefined) return undefined;
  try {
    return await readDatasetFile(folder, file);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

async function downloadFile(file: DatasetFile, log: (line: string) => void): Promise<Uint8Array<ArrayBuffer>> {
  const url = `${PUBLISHERS}/${file}.gz`;
  log(`downloading ${url}`);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const bytes = await promisify(gunzip)(new Uint8Array(await response.arrayBuffer()));
    verifyDatasetFile(file, bytes, url);
    return bytes;
  } catch (error) {
    const cause = error instanceof Error && error.cause ? ` (${describeError(error.cause)})` : '';
    throw new Error(`${url}: ${describeError(error)}${cause}`, { cause: error });
  }
}

async function takeFromDebian(file: DatasetFile, log: (line: string) => void): Promise<Uint8Array<ArrayBuffer>> {
  if (locateDatasetFile(DEBIAN_FOLDER, file) === undefined) await installDebianPackage(log);
  return readDatasetFile(DEBIAN_FOLDER, file);
}

async function installDebianPackage(log: (line: string) => void): Promise<void> {
  if (!existsSync('/usr/bin/apt-get')) throw new Error(`Debian's package ${DEBIAN_PACKAGE}: this is no Debian system`);
  if (process.getuid?.() !== 0) throw new Error(`Debian's package ${DEBIAN_PACKAGE}: installing it takes root`);
  log(`installing Debian's package ${DEBIAN_PACKAGE}`);
  const run = (...args: string[]) =>
    promisify(execFile)('apt-get', args, {
      timeout: INSTALL_DEADLINE_MS,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  const install = () => run('install', '-y', '--no-install-recommends', DEBIAN_PACKAGE);
  try {
    // On a fresh machine the list of packages is empty until it is asked for.
    await install().catch(() => run('update').then(install));
  } catch (error) {
    throw new Error(`Debian's package ${DEBIAN_PACKAGE}: ${describeError(error)}`, { cause: error });
  }
}
