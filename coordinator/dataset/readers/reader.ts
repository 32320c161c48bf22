/**
 * What the readers of all sources share: how they are asked, what they give, and the checks that any data must pass. A
 * reader never writes, and refuses what is not sound with the file's name, what was expected, what is there, and the cure.
 */
import { createHash } from 'node:crypto';
import { countOf } from '../../../protocol/counts.ts';
import type { RawDataset } from '../../../protocol/data/canonical.ts';
import { imageBytesOf } from '../../../protocol/data/dataset.ts';
import type { ImageShape, SampleSet } from '../../../protocol/data/dataset.ts';
import { createLabels, MAX_CLASSES } from '../../../protocol/data/labels.ts';
import { ConfigError } from '../../../protocol/errors.ts';

export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

export interface ReadOptions {
  /** What images of a folder are brought to. Default: they must all have one size. */
  readonly resize?: ImageSize | undefined;
  /** Of a source without test samples: how many of its samples are those, chosen by their names. */
  readonly testFraction?: number | undefined;
  /** Told how far a long reading has come. */
  readonly log: (line: string) => void;
}

/** No dataset of this program is larger, in bytes: what claims to be is refused before memory is set aside. */
export const MAX_DATASET_BYTES = 64 * 2 ** 30;

/** Labels as a source has them, before they are checked. */
export interface LabelValues {
  readonly length: number;
  readonly [index: number]: number;
}

/** Samples of one file, or of several that belong together. */
export interface SourceSplit {
  /** For messages: the files of images and labels. */
  readonly imagesFile: string;
  readonly labelsFile: string;
  readonly shape: ImageShape;
  /** [labels.length, ...shape] */
  readonly images: Uint8Array<ArrayBuffer>;
  readonly labels: LabelValues;
  /** Of each sample. Default: its index. By these, samples are chosen for testing. */
  readonly names?: readonly string[];
}

export interface SourceSplits {
  readonly train: SourceSplit;
  readonly test?: SourceSplit | undefined;
  readonly validation?: SourceSplit | undefined;
}

/** Checks splits and makes one dataset of them. `classes`: Default: "0", "1" and so on, as many as labels of training samples have. */
export function assemble(
  subject: string,
  splits: SourceSplits,
  {
    classes,
    testFraction,
  }: { readonly classes?: readonly string[] | undefined; readonly testFraction?: number | undefined },
): RawDataset {
  const { train, test, validation } = splits;
  const all = [train, ...(test ? [test] : []), ...(validation ? [validation] : [])];
  for (const split of all) checkNumbers(split);
  for (const { imagesFile, shape } of all) {
    if (shape.join() === train.shape.join()) continue;
    throw new ConfigError(
      `${imagesFile}: expected images of [${train.shape.join(', ')}], as in ${train.imagesFile}, got [${shape.join(', ')}]: ` +
        'training and test images must have one shape',
    );
  }
  const names = classes ?? numberedClasses(train);
  checkNumClasses(subject, names.length);
  const sets = { train: toSamples(train, names), test: test && toSamples(test, names) };
  const divided = sets.test
    ? { train: sets.train, test: sets.test }
    : divide(subject, train, sets.train, { testFraction, numClasses: names.length });
  if (divided.test.numSamples === 0) throw new ConfigError(`${subject}: there are no test samples`);
  checkNoneEmpty(subject, divided.train, names);
  return { shape: train.shape, classes: names, ...divided, validation: validation && toSamples(validation, names) };
}

/** Throws `ConfigError` for more classes than labels can tell apart. */
export function checkNumClasses(subject: string, numClasses: number): void {
  if (numClasses <= MAX_CLASSES) return;
  throw new ConfigError(
    `${subject}: ${countOf(numClasses, 'class', 'classes')}, expected at most ${MAX_CLASSES}: join some, or leave some out`,
  );
}

function checkNumbers({ imagesFile, labelsFile, images, labels, shape }: SourceSplit): void {
  const numImages = images.length / imageBytesOf(shape);
  if (numImages !== labels.length) {
    throw new ConfigError(
      `${labelsFile}: expected one label for each of the ${countOf(numImages, 'image')} of ${imagesFile}, got ` +
        `${labels.length}: they are not of one set`,
    );
  }
  if (numImages === 0) throw new ConfigError(`${imagesFile}: there are no images in it`);
}

/** As many as the largest label asks for. */
function numberedClasses({ labels, labelsFile }: SourceSplit): string[] {
  let largest = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label < 0 || label >= MAX_CLASSES) {
      throw outOfRange(labelsFile, i, label, `0 to ${MAX_CLASSES - 1}, of at most ${MAX_CLASSES} classes`);
    }
    if (label > largest) largest = label;
  }
  return Array.from({ length: largest + 1 }, (_, label) => String(label));
}

function toSamples({ images, labels, labelsFile }: SourceSplit, classes: readonly string[]): SampleSet {
  const values = createLabels(labels.length, classes.length);
  for (let i = 0; i < values.length; i++) {
    const label = labels[i]!;
    if (label < 0 || label >= classes.length) {
      throw outOfRange(
        labelsFile,
        i,
        label,
        `0 to ${classes.length - 1}, of ${countOf(classes.length, 'class', 'classes')}`,
      );
    }
    values[i] = label;
  }
  return { images, labels: values, numSamples: values.length };
}

function outOfRange(labelsFile: string, index: number, label: number, expected: string): ConfigError {
  const canBeNamed = label >= 0 && label < MAX_CLASSES;
  const orNamed = canBeNamed ? ', or name all classes in a file classes.txt beside them, a line each' : '';
  return new ConfigError(
    `${labelsFile}: label ${index} (counted from 0) is ${label}, expected ${expected}: correct the labels${orNamed}`,
  );
}

/** A model cannot learn a class that it never sees; mostly labels then count from 1. */
function checkNoneEmpty(subject: string, { labels }: SampleSet, classes: readonly string[]): void {
  const counts = new Uint32Array(classes.length);
  for (const label of labels) counts[label]!++;
  const empty = counts.indexOf(0);
  if (empty === -1) return;
  throw new ConfigError(
    `${subject}: class ${empty} (${classes[empty]!}) has no training sample: expected at least one of each of ` +
      `${classes.length}: count labels from 0, without gaps`,
  );
}

/** Divides the samples of a source that has no test samples of its own. */
function divide(
  subject: string,
  split: SourceSplit,
  samples: SampleSet,
  { testFraction, numClasses }: { readonly testFraction: number | undefined; readonly numClasses: number },
): { train: SampleSet; test: SampleSet } {
  if (testFraction === undefined) {
    throw new ConfigError(
      `${subject}: it has no test samples: add them, or give --test-fraction 0.2 to test on a fifth of the training samples`,
    );
  }
  const isTest = (index: number) => isChosen(split.names?.[index] ?? String(index), testFraction);
  const indices = Array.from({ length: samples.numSamples }, (_, index) => index);
  const pick = (chosen: readonly number[]) => pickSamples(samples, chosen, { shape: split.shape, numClasses });
  return { train: pick(indices.filter((index) => !isTest(index))), test: pick(indices.filter(isTest)) };
}

/** By the name's hash alone: a sample stays where it is when others are added. */
function isChosen(name: string, fraction: number): boolean {
  return createHash('sha256').update(name).digest().readUInt32LE(0) < fraction * 2 ** 32;
}

function pickSamples(
  samples: SampleSet,
  indices: readonly number[],
  { shape, numClasses }: { readonly shape: ImageShape; readonly numClasses: number },
): SampleSet {
  const imageBytes = imageBytesOf(shape);
  const images = new Uint8Array(indices.length * imageBytes);
  const labels = createLabels(indices.length, numClasses);
  for (const [row, index] of indices.entries()) {
    images.set(samples.images.subarray(index * imageBytes, (index + 1) * imageBytes), row * imageBytes);
    labels[row] = samples.labels[index]!;
  }
  return { images, labels, numSamples: indices.length };
}
