/**
 * Fashion-MNIST: which bytes it is, and how they become samples. Touches no files; see `dataset-files.ts`.
 *
 * Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017. Files are in the IDX format: big-endian magic number and sizes,
 * then bytes.
 */
import { createHash } from 'node:crypto';
import { countOf } from '../counts.ts';
import { ConfigError } from '../errors.ts';
import { canonicalForm } from './canonical.ts';
import type { CanonicalDataset } from './canonical.ts';
import type { SampleSet } from './dataset.ts';

/** The four files, and the sha256 of each one's uncompressed bytes (compressions differ between publishers). */
export const DATASET_SHA256 = {
  'train-images-idx3-ubyte': 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  'train-labels-idx1-ubyte': 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  't10k-images-idx3-ubyte': '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  't10k-labels-idx1-ubyte': '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
} as const;

export type DatasetFile = keyof typeof DATASET_SHA256;

export const DATASET_FILES = Object.keys(DATASET_SHA256) as DatasetFile[];

/** [channels, height, width] of an image. */
export const FASHION_MNIST_SHAPE = [1, 28, 28] as const;

/** In the order of their labels, as its publishers name them. */
export const FASHION_MNIST_CLASSES = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
] as const;

/** Of its canonical form, see `canonical.ts`. */
export const FASHION_MNIST_SHA256 = 'a2bfdd9d974da54eef2e6fd5ecfa4d2b012d3efd03b7bee140addb726857e77d';

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

/** The samples of verified files, in canonical form. Views, not copies. */
export function canonicalFashionMnist(bytes: DatasetBytes): CanonicalDataset<SampleSet> {
  const raw = {
    shape: FASHION_MNIST_SHAPE,
    classes: FASHION_MNIST_CLASSES,
    train: parseSampleSet(bytes['train-images-idx3-ubyte'], bytes['train-labels-idx1-ubyte']),
    test: parseSampleSet(bytes['t10k-images-idx3-ubyte'], bytes['t10k-labels-idx1-ubyte']),
  };
  return canonicalForm(raw, FASHION_MNIST_SHA256);
}

/** What follows the headers: 16 bytes before images (magic, count, rows, columns), 8 before labels (magic, count). */
function parseSampleSet(images: Uint8Array<ArrayBuffer>, labels: Uint8Array<ArrayBuffer>): SampleSet {
  return { images: images.subarray(16), labels: labels.subarray(8), numSamples: labels.length - 8 };
}
