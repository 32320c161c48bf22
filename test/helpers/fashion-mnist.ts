/**
 * Fashion-MNIST for tests: one folder of this checkout, which the global setup completes before any test. No test reads
 * the user's cache or the machine's folders; processes that tests start find the same folder by $FASHION_MNIST_DIR.
 */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DATASET_FILES } from '../../protocol/data/fashion-mnist.ts';
import type { DatasetBytes, DatasetFile } from '../../protocol/data/fashion-mnist.ts';
import { selectSamples } from '../../coordinator/dataset/select-samples.ts';
import type { SampleSelection } from '../../coordinator/dataset/select-samples.ts';
import { imageBytesOf } from '../../protocol/data/dataset.ts';
import type { Dataset, SampleSet } from '../../protocol/data/dataset.ts';
import { canonicalFashionMnist, FASHION_MNIST_SHAPE } from '../../protocol/data/fashion-mnist.ts';
import { readDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import type { DatasetPlace } from '../../protocol/data/fashion-mnist-files.ts';

/** Holds the four files, uncompressed and verified. Tests read it, and write nothing into it. */
export const FASHION_MNIST_FOLDER = fileURLToPath(new URL('../../.test-data/fashion-mnist', import.meta.url));

export const FASHION_MNIST_PLACE: DatasetPlace = {
  folder: FASHION_MNIST_FOLDER,
  origin: "the tests' folder",
  isExplicit: true,
};

export async function readFashionMnist(): Promise<DatasetBytes> {
  return (await readDatasetFiles([FASHION_MNIST_PLACE]))!;
}

/** Gives a folder the files under their own names, all but `without`: links, which cost no copy. */
export function linkFashionMnist(folder: string, without?: DatasetFile): void {
  for (const file of DATASET_FILES) {
    if (file !== without) symlinkSync(join(FASHION_MNIST_FOLDER, file), join(folder, file));
  }
}

/** Bytes of an image. */
export const IMAGE_BYTES = imageBytesOf(FASHION_MNIST_SHAPE);

/** The samples of verified files, as a run selects them. */
export function selectFashionMnist(bytes: DatasetBytes, selection: SampleSelection = {}): Dataset<SampleSet> {
  return selectSamples({ ...canonicalFashionMnist(bytes), name: 'fashion-mnist' }, selection);
}
