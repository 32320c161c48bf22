/**
 * A folder of images: `train/CLASS/*.png`, `test/CLASS/...` and perhaps `val/CLASS/...`; or `CLASS/*.png`, of which a part
 * is taken for testing. PNG and JPEG, grey or in colour. Threads decode them, as many as there are cores.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { countOf } from '../../../protocol/counts.ts';
import type { RawDataset } from '../../../protocol/data/canonical.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { decodeImages } from './decode-images.ts';
import { assemble, checkNumClasses } from './reader.ts';
import type { ReadOptions, SourceSplit } from './reader.ts';

const IMAGE = /\.(png|jpe?g)$/i;
const SPLIT_FOLDERS = { train: ['train'], test: ['test'], validation: ['val', 'valid', 'validation'] } as const;

/** Whether a folder holds folders of images. */
export function holdsImages(folder: string): boolean {
  const [first] = existsSync(join(folder, 'train')) ? classFolders(join(folder, 'train')) : classFolders(folder);
  return first !== undefined;
}

/** The dataset of a folder. Throws `ConfigError` for what is missing or not sound. */
export async function readImageFolder(folder: string, options: ReadOptions): Promise<RawDataset> {
  const { testFraction } = options;
  const trainFolder = join(folder, 'train');
  const isDivided = existsSync(trainFolder);
  const classes = classFolders(isDivided ? trainFolder : folder);
  checkNumClasses(folder, classes.length);
  const listOf = (split: keyof typeof SPLIT_FOLDERS) => {
    const found = SPLIT_FOLDERS[split].map((name) => join(folder, name)).find((path) => existsSync(path));
    return found === undefined ? undefined : listImages(found, classes);
  };
  const lists = isDivided
    ? { train: listOf('train')!, test: listOf('test'), validation: listOf('validation') }
    : { train: listImages(folder, classes), test: undefined, validation: undefined };
  // All at once: they must have one size, and one kind of colour.
  const all = [lists.train, lists.test, lists.validation].filter((list) => list !== undefined);
  const { shape, images } = await decodeImages(
    all.flatMap(({ paths }) => paths),
    options,
  );
  const imageBytes = images.length / all.reduce((sum, { paths }) => sum + paths.length, 0);
  let at = 0;
  const splitOf = (list: ImageList): SourceSplit => {
    const begin = at;
    at += list.paths.length * imageBytes;
    return {
      imagesFile: list.folder,
      labelsFile: list.folder,
      shape,
      images: images.subarray(begin, at),
      labels: list.labels,
      names: list.names,
    };
  };
  const train = splitOf(lists.train);
  const test = lists.test && splitOf(lists.test);
  const validation = lists.validation && splitOf(lists.validation);
  return assemble(folder, { train, test, validation }, { classes, testFraction });
}

interface ImageList {
  readonly folder: string;
  readonly paths: readonly string[];
  readonly labels: readonly number[];
  /** "CLASS/FILE" of each, by which samples are chosen for testing. */
  readonly names: readonly string[];
}

/** Folders with at least one image, in alphabetical order: the names of the classes. */
function classFolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(folder, entry.name)).some((name) => IMAGE.test(name)))
    .map(({ name }) => name)
    .sort();
}

function listImages(folder: string, classes: readonly string[]): ImageList {
  const known = new Set(classes);
  const unknown = classFolders(folder).find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new ConfigError(
      `${join(folder, unknown)}: expected a class that is in train, got one that is not: ${classes.slice(0, 10).join(', ')}`,
    );
  }
  const files = classes.flatMap((name, label) => {
    const path = join(folder, name);
    if (!existsSync(path)) return [];
    return readdirSync(path)
      .filter((file) => IMAGE.test(file))
      .sort()
      .map((file) => ({ path: join(path, file), label, name: `${name}/${file}` }));
  });
  if (files.length === 0) {
    throw new ConfigError(
      `${folder}: expected images in folders, one for each of ${countOf(classes.length, 'class', 'classes')}, got none`,
    );
  }
  return {
    folder,
    paths: files.map(({ path }) => path),
    labels: files.map(({ label }) => label),
    names: files.map(({ name }) => name),
  };
}
