/**
 * Fashion-MNIST: which bytes it is, and how they become samples. Touches no files; see `dataset-files.ts`.
 *
 * Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017. Files are in the IDX format: big-endian magic number and sizes,
 * then bytes.
 */
import { createHash } from 'node:crypto';
import { countOf } from '../counts.ts';
import { ConfigError } from '../errors.ts';
import { bytesFrom, bytesOf } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { canonicalBytes, canonicalForm, storedRows } from './canonical.ts';
import type { CanonicalDataset } from './canonical.ts';
import { imageBytesOf } from './dataset.ts';
import type { Samples, SampleSet } from './dataset.ts';

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
  if (found !== DATASET_SHA256[file]) throw refuseOther(file, { path, found, numBytes: bytes.length, cure });
}

/** For bytes that are not the file's. `found`: their sha256. */
export function refuseOther(
  file: DatasetFile,
  { path, found, numBytes, cure }: { path: string; found: string; numBytes: number; cure: string },
): ConfigError {
  return new ConfigError(
    `${path}: not Fashion-MNIST's ${file}: expected sha256 ${DATASET_SHA256[file]} uncompressed, ` +
      `found ${found} (${countOf(numBytes, 'byte')}): ${cure}`,
  );
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

/** Where the samples begin: after magic number, count, rows and columns; after magic number and count. */
const IMAGES_AT = 16;
const LABELS_AT = 8;

function parseSampleSet(images: Uint8Array<ArrayBuffer>, labels: Uint8Array<ArrayBuffer>): SampleSet {
  return {
    images: images.subarray(IMAGES_AT),
    labels: labels.subarray(LABELS_AT),
    numSamples: labels.length - LABELS_AT,
  };
}

/** The dataset of verified, uncompressed files, in the order of `DATASET_FILES`; their images stay where they are. */
export function storedFashionMnist(files: readonly ByteSource[]): CanonicalDataset {
  const [trainImages, trainLabels, testImages, testLabels] = files.map((file, index) =>
    bytesFrom(file, index % 2 === 0 ? IMAGES_AT : LABELS_AT),
  ) as [ByteSource, ByteSource, ByteSource, ByteSource];
  const train = { images: trainImages, labels: trainLabels, numSamples: trainLabels.byteLength };
  const test = { images: testImages, labels: testLabels, numSamples: testLabels.byteLength };
  const about = { shape: FASHION_MNIST_SHAPE, classes: FASHION_MNIST_CLASSES };
  const samplesOf = ({ images, labels, numSamples }: typeof train): Samples => ({
    stored: storedRows(images, 0, imageBytesOf(FASHION_MNIST_SHAPE)),
    labels: bytesOf(labels, 0, numSamples),
    numSamples,
  });
  const bytes = canonicalBytes({ ...about, train, test });
  return { ...about, sha256: FASHION_MNIST_SHA256, bytes, splits: { train: samplesOf(train), test: samplesOf(test) } };
}
