/**
 * A dataset as samples: images of one shape, and a class for each. What they are made of is data, see `canonical.ts`;
 * which of them a run uses is chosen here.
 */
import { ConfigError } from '../errors.ts';
import type { Labels } from './labels.ts';

/** [channels, height, width] of one image. */
export type ImageShape = readonly [number, number, number];

/** What a record of a run says of its data. */
export interface DatasetIdentity {
  /** "fashion-mnist", or the name of a folder or a file. */
  readonly name: string;
  /** What `--data` was given. */
  readonly source: string;
  readonly shape: ImageShape;
  /** Names of the classes, in the order of their labels. */
  readonly classes: readonly string[];
  /** Of the canonical form, in hex. */
  readonly sha256: string;
}

/** Samples in memory. */
export interface SampleSet {
  /** [numSamples, channels x height x width] bytes, channel by channel, row by row. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [numSamples] */
  readonly labels: Labels;
  readonly numSamples: number;
}

/** Samples whose images are read when they are needed: a set that is too large to be held. */
export interface StoredSampleSet {
  readonly stored: ImageRows;
  readonly labels: Labels;
  readonly numSamples: number;
}

export type Samples = SampleSet | StoredSampleSet;

/** Images in a file, one a row. */
export interface ImageRows {
  /** rows[i] <- image indices[i]. */
  gather(rows: Uint8Array, indices: Uint32Array): void;
  /** [count, imageBytes]: images `first` to `first + count`. */
  range(first: number, count: number): Uint8Array<ArrayBuffer>;
}

export interface Dataset<S extends Samples = Samples> {
  readonly train: S;
  /** What is evaluated: the test samples or, with validation, training samples that were held back. */
  readonly evaluation: S;
}

/** A dataset's parts, as its publishers divide it. */
export interface Splits<S extends Samples = Samples> {
  readonly train: S;
  readonly test: S;
  readonly validation?: S;
}

/** How many samples a run uses, from the first on. Default: all. */
export interface DatasetCounts {
  /** Without those that are held back. */
  readonly numTrainSamples?: number | undefined;
  readonly numTestSamples?: number | undefined;
  /** Training samples that are held back, those after `numTrainSamples`: they are evaluated instead of test samples. */
  readonly numValidationSamples?: number | undefined;
}

/** The number of bytes, and of values, of an image. */
export function imageBytesOf([channels, height, width]: ImageShape): number {
  return channels * height * width;
}

/** The samples that a run uses: views, not copies. Throws `ConfigError` for more than there are. */
export function selectSplits<S extends Samples>(
  { train: training, test }: Splits<S>,
  counts: DatasetCounts = {},
): Dataset<S> {
  const { numTrainSamples, numTestSamples, numValidationSamples = 0 } = counts;
  const train = sliceSamples(training, 0, numTrainSamples ?? training.numSamples - numValidationSamples);
  if (numValidationSamples > 0) {
    return { train, evaluation: sliceSamples(training, train.numSamples, numValidationSamples) };
  }
  return { train, evaluation: sliceSamples(test, 0, numTestSamples ?? test.numSamples) };
}

function sliceSamples<S extends Samples>(samples: S, first: number, count: number): S {
  const { numSamples: available } = samples;
  const end = first + count;
  if (count < 0 || end > available) throw new ConfigError(`samples ${first} to ${end} were asked for of ${available}`);
  const labels = samples.labels.subarray(first, end);
  if ('images' in samples) {
    const imageBytes = available === 0 ? 0 : samples.images.length / available;
    const images = samples.images.subarray(first * imageBytes, end * imageBytes);
    return { ...samples, images, labels, numSamples: count };
  }
  const { stored } = samples;
  return { ...samples, stored: first === 0 ? stored : shifted(stored, first), labels, numSamples: count };
}

/** The rows from `by` on. */
function shifted(rows: ImageRows, by: number): ImageRows {
  return {
    gather: (into, indices) =>
      rows.gather(
        into,
        indices.map((index) => index + by),
      ),
    range: (first, count) => rows.range(first + by, count),
  };
}

/** Images of a set up to this size are held in memory; those of a larger one are read as steps need them. */
const MAX_HELD_BYTES = 64 * 2 ** 20;

/** The samples with their images in memory, where they are few enough for that. */
export function holdSamples({ train, evaluation }: Dataset, shape: ImageShape): Dataset {
  const hold = (samples: Samples): Samples => {
    const { labels, numSamples } = samples;
    if ('images' in samples || numSamples * imageBytesOf(shape) > MAX_HELD_BYTES) return samples;
    return { images: samples.stored.range(0, numSamples), labels, numSamples };
  };
  return { train: hold(train), evaluation: hold(evaluation) };
}

/** Images `first` to `first + count`: a view where they are in memory, else read from their file. */
export function imagesOf(samples: Samples, first: number, count: number): Uint8Array<ArrayBuffer> {
  if ('stored' in samples) return samples.stored.range(first, count);
  const imageBytes = samples.images.length / samples.numSamples;
  return samples.images.subarray(first * imageBytes, (first + count) * imageBytes);
}
