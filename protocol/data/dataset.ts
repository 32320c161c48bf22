/**
 * Fashion-MNIST: which bytes it is, and how they become samples. Touches no files; see `dataset-files.ts`.
 *
 * Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017. Files are in the IDX format: big-endian magic number and sizes,
 * then bytes.
 */
import { createHash } from 'node:crypto';
import { countOf } from '../counts.ts';
import { ConfigError } from '../errors.ts';

/** The four files, and the sha256 of each one's uncompressed bytes (compressions differ between publishers). */
export const DATASET_SHA256 = {
  'train-images-idx3-ubyte': 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  'train-labels-idx1-ubyte': 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  't10k-images-idx3-ubyte': '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  't10k-labels-idx1-ubyte': '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
} as const;

export type DatasetFile = keyof typeof DATASET_SHA256;

export const DATASET_FILES = Object.keys(DATASET_SHA256) as DatasetFile[];

/** [channels, height, width] of an image, and the number of classes. */
export const IMAGE_SHAPE = [1, 28, 28] as const;
export const IMAGE_BYTES = 28 * 28;
export const NUM_CLASSES = 10;
/** Training samples of the files. */
export const NUM_TRAIN_SAMPLES = 60_000;

/** Samples as they are stored. */
export interface SampleSet {
  /** [numSamples, 784] bytes, 0 (white) to 255, row by row. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [numSamples] classes, 0 to 9. */
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly numSamples: number;
}

export interface Dataset {
  readonly train: SampleSet;
  /** What is evaluated: the test samples or, with validation, training samples that were held back. */
  readonly evaluation: SampleSet;
}

/** How many samples of the files a run uses, from the first on. Default: all. */
export interface DatasetCounts {
  /** Without those that are held back. */
  readonly numTrainSamples?: number | undefined;
  readonly numTestSamples?: number | undefined;
  /** Training samples that are held back, those after `numTrainSamples`: they are evaluated instead of test samples. */
  readonly numValidationSamples?: number | undefined;
}

/** The uncompressed bytes of each file. */
export type DatasetBytes = Readonly<Record<DatasetFile, Uint8Array<ArrayBuffer>>>;

/** Throws `ConfigError` naming `path`, both sums and `cure` when `bytes` are not the file's. */
export function verifyDatasetFile(file: DatasetFile, bytes: Uint8Array, path: string, cure: string): void {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== DATASET_SHA256[file]) {
    throw new ConfigError(
      `${path}: not Fashion-MNIST's ${file}: expected sha256 ${DATASET_SHA256[file]} uncompressed, ` +
        `found ${found} (${countOf(bytes.length, 'byte')}): ${cure}`,
    );
  }
}

/** Samples of verified files. Views, not copies. Throws `ConfigError` for more than the files have. */
export function parseDataset(bytes: DatasetBytes, counts: DatasetCounts = {}): Dataset {
  const { numTrainSamples, numTestSamples, numValidationSamples = 0 } = counts;
  const training = parseSampleSet(bytes['train-images-idx3-ubyte'], bytes['train-labels-idx1-ubyte']);
  const train = sliceSamples(training, 0, numTrainSamples ?? training.numSamples - numValidationSamples);
  if (numValidationSamples > 0) {
    return { train, evaluation: sliceSamples(training, train.numSamples, numValidationSamples) };
  }
  const test = parseSampleSet(bytes['t10k-images-idx3-ubyte'], bytes['t10k-labels-idx1-ubyte']);
  return { train, evaluation: sliceSamples(test, 0, numTestSamples ?? test.numSamples) };
}

/** What follows the headers: 16 bytes before images (magic, count, rows, columns), 8 before labels (magic, count). */
function parseSampleSet(images: Uint8Array<ArrayBuffer>, labels: Uint8Array<ArrayBuffer>): SampleSet {
  return { images: images.subarray(16), labels: labels.subarray(8), numSamples: labels.length - 8 };
}

function sliceSamples({ images, labels, numSamples: available }: SampleSet, first: number, count: number): SampleSet {
  const end = first + count;
  if (count < 0 || end > available) throw new ConfigError(`samples ${first} to ${end} were asked for of ${available}`);
  return {
    images: images.subarray(first * IMAGE_BYTES, end * IMAGE_BYTES),
    labels: labels.subarray(first, end),
    numSamples: count,
  };
}
