/** `--data`: one of the known datasets by its name, or files of the user's, whose form is seen by what they are. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { toCanonical } from '../../protocol/data/canonical.ts';
import type { CanonicalDataset, RawDataset } from '../../protocol/data/canonical.ts';
import { openCached } from '../../protocol/data/dataset-cache.ts';
import type { DatasetIdentity } from '../../protocol/data/dataset.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { FASHION_MNIST, fashionMnistSource } from './dataset-source.ts';
import type { DatasetSource } from './dataset-source.ts';
import { DATASET_NAMES, knownDataset } from './known-datasets.ts';
import { openPublished } from './published.ts';
import type { FetchFile } from './published.ts';
import { holdsCifar10, readCifar10Folder } from './readers/cifar10.ts';
import { holdsIdx, readIdxFolder } from './readers/idx.ts';
import { holdsImages, readImageFolder } from './readers/image-folder.ts';
import { readNpz } from './readers/npz.ts';
import type { ReadOptions } from './readers/reader.ts';
import { keepIndexed, keyOfFiles, openIndexed } from './source-index.ts';

export interface FindOptions extends ReadOptions {
  /** A name, or a path. */
  readonly data: string;
  /** The only folder in which a known dataset's files are looked for. */
  readonly dataDir?: string | undefined;
  /** What a run that is resumed trains on: it is taken from the cache where its files are gone. */
  readonly recorded?: DatasetIdentity | undefined;
  /** Default: from their publishers. */
  readonly fetchFile?: FetchFile;
}

/**
 * The dataset. A known one is read when it is opened; files of the user's are read here, for only they tell what they are.
 *
 * Throws `ConfigError` for a name that is neither known nor a path, and for files that are not sound.
 */
export async function findDataset(options: FindOptions): Promise<DatasetSource> {
  const { data, dataDir, log, recorded, fetchFile } = options;
  if (data === FASHION_MNIST) return fashionMnistSource(dataDir, log);
  const known = knownDataset(data);
  if (known) {
    const { shape, classes, numTrainSamples } = known;
    const open = () => openPublished(known, { dataDir, log, ...(fetchFile && { fetchFile }) });
    return { name: data, source: data, shape, classes, numTrainSamples, open };
  }
  if (dataDir !== undefined) {
    throw new ConfigError(`--data-dir ${dataDir} with --data ${data}: it is for a named dataset: leave it out`);
  }
  const isGone = recorded?.source === data && !existsSync(data);
  const kept = isGone ? await openCached(recorded.sha256, log) : undefined;
  const dataset = kept ?? (await openUserFiles(data, options));
  const { shape, classes, splits } = dataset;
  return {
    name: recorded?.sha256 === dataset.sha256 ? recorded.name : nameOf(data),
    // As it is found from any folder: a run may be resumed from another one.
    source: resolve(data),
    shape,
    classes,
    numTrainSamples: splits.train.numSamples,
    open: () => Promise.resolve(dataset),
  };
}

/** The name of the folder or file, without its ending. */
function nameOf(path: string): string {
  return basename(resolve(path)).replace(/\.npz$/, '') || 'data';
}

async function openUserFiles(path: string, options: ReadOptions): Promise<CanonicalDataset> {
  const { resize, testFraction, log } = options;
  const read = readerFor(path);
  const key = keyOfFiles(path, { resize, testFraction });
  const known = await openIndexed(key, log);
  if (known) return known;
  return keepIndexed(key, await toCanonical(await read(options)), log);
}

/** By what is there. Throws `ConfigError` for what no reader knows. */
function readerFor(path: string): (options: ReadOptions) => Promise<RawDataset> {
  const names = namesIn(path);
  if (names === undefined) {
    if (path.endsWith('.npz')) return (options) => readNpz(path, options);
    throw new ConfigError(`--data ${path}: expected a folder or a .npz file, got another file`);
  }
  if (holdsIdx(names)) return (options) => readIdxFolder(path, options);
  if (holdsCifar10(names)) return (options) => readCifar10Folder(path, options);
  if (holdsImages(path)) return (options) => readImageFolder(path, options);
  const some = names.length === 0 ? 'nothing' : names.slice(0, 5).join(', ');
  throw new ConfigError(
    `--data ${path}: expected images in train/CLASS/ and test/CLASS/, IDX files (train-images-idx3-ubyte), or CIFAR-10's ` +
      `(data_batch_1.bin), got ${some}`,
  );
}

/** What a folder holds; undefined for a file. */
function namesIn(path: string): string[] | undefined {
  try {
    return statSync(path).isDirectory() ? readdirSync(path) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !path.includes('/')) {
      throw new ConfigError(
        `--data ${path}: expected ${DATASET_NAMES.join(', ')}, or the path of your data, got neither`,
      );
    }
    throw new ConfigError(describeSystemError(`--data ${path}`, 'read', error), { cause: error });
  }
}
