/** Samples in the caller's memory as a dataset. */
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import { countOf } from '../../protocol/counts.ts';
import { toCanonical } from '../../protocol/data/canonical.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { imageBytesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, SampleSet } from '../../protocol/data/dataset.ts';
import { createLabels, MAX_CLASSES } from '../../protocol/data/labels.ts';
import { ConfigError } from '../../protocol/errors.ts';

/** Images and their labels. The images are not copied: they must stay as they are while they are used. */
export interface SamplesInMemory {
  /** [numSamples, channels, height, width] bytes, 0 to 255: channel by channel, row by row. */
  readonly images: Uint8Array;
  /** [numSamples] indices of classes, from 0. */
  readonly labels: ArrayLike<number>;
}

/** A dataset in memory. */
export interface DataInMemory {
  readonly train: SamplesInMemory;
  /** What each epoch is evaluated on. Default: nothing, and accuracies are null, unless `validation` holds samples back. */
  readonly test?: SamplesInMemory | undefined;
  /** [channels, height, width] of one image. */
  readonly shape: ImageShape;
  /** Names of the classes, in the order of their labels; or their number, and they are named by it: 0, 1, ... */
  readonly classes: readonly string[] | number;
  /** For records. Default: memory. */
  readonly name?: string | undefined;
}

const DEFAULT_NAME = 'memory';

/** What records have for a path. */
const SOURCE = 'memory';

/**
 * The dataset. Throws `ConfigError`, which names the part of `data` that is wrong: sizes that do not agree, a label that is
 * no class.
 */
export function sourceInMemory(data: DataInMemory): DatasetSource {
  const shape = checkShape(data.shape);
  const classes = checkClasses(data.classes);
  const { name = DEFAULT_NAME } = data;
  if (typeof name !== 'string' || name === '') throw new ConfigError('data.name: expected a text: leave it out');
  const train = checkSamples('data.train', data.train, shape, classes.length);
  if (train.numSamples === 0) throw new ConfigError('data.train: expected samples to train on, got none');
  const test =
    data.test === undefined
      ? { images: new Uint8Array(), labels: createLabels(0, classes.length), numSamples: 0 }
      : checkSamples('data.test', data.test, shape, classes.length);
  let dataset: Promise<CanonicalDataset> | undefined;
  const open = () => (dataset ??= toCanonical({ shape, classes, train, test }));
  return { name, source: SOURCE, shape, classes, numTrainSamples: train.numSamples, open };
}

function checkShape(shape: unknown): ImageShape {
  const isSize = (size: unknown) => typeof size === 'number' && Number.isInteger(size) && size >= 1;
  if (Array.isArray(shape) && shape.length === 3 && shape.every(isSize)) return shape as [number, number, number];
  throw new ConfigError(
    `data.shape: expected [channels, height, width], three whole numbers from 1, got ${JSON.stringify(shape)}`,
  );
}

function checkClasses(classes: unknown): readonly string[] {
  const names: unknown =
    typeof classes === 'number' && Number.isInteger(classes) && classes >= 1 && classes <= MAX_CLASSES
      ? Array.from({ length: classes }, (_, label) => String(label))
      : classes;
  const isSound =
    Array.isArray(names) &&
    names.length >= 1 &&
    names.length <= MAX_CLASSES &&
    names.every((name) => typeof name === 'string');
  if (isSound) return names;
  throw new ConfigError(`data.classes: expected 1 to ${MAX_CLASSES} names, or their number`);
}

function checkSamples(where: string, samples: unknown, shape: ImageShape, numClasses: number): SampleSet {
  const { images, labels } = (samples ?? {}) as Partial<SamplesInMemory>;
  if (!(images instanceof Uint8Array)) throw new ConfigError(`${where}.images: expected a Uint8Array of pixels`);
  if (typeof labels?.length !== 'number') throw new ConfigError(`${where}.labels: expected an array of numbers`);
  const numSamples = labels.length;
  const expected = numSamples * imageBytesOf(shape);
  if (images.length !== expected) {
    throw new ConfigError(
      `${where}.images: expected ${countOf(expected, 'byte')}, ${countOf(numSamples, 'label')} x [${shape.join(', ')}], got ` +
        String(images.length),
    );
  }
  for (let i = 0; i < numSamples; i++) {
    const label = labels[i];
    if (Number.isInteger(label) && label! >= 0 && label! < numClasses) continue;
    throw new ConfigError(
      `${where}.labels[${i}]: expected a whole number from 0 to ${numClasses - 1}, got ${String(label)}`,
    );
  }
  const own = createLabels(numSamples, numClasses);
  own.set(labels);
  return { images: ownBytes(images), labels: own, numSamples };
}

/** The same bytes; a copy where their memory is shared, which engines do not take. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
