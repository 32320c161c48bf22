/** A dataset as a run asks for it: what it is, before its samples are read. */
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import type { DatasetIdentity, ImageShape } from '../../protocol/data/dataset.ts';
import {
  canonicalFashionMnist,
  FASHION_MNIST_CLASSES,
  FASHION_MNIST_SHAPE,
} from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, openDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import { obtainDataset } from './fetch.ts';

export interface DatasetSource extends Pick<DatasetIdentity, 'name' | 'source' | 'classes'> {
  readonly shape: ImageShape;
  readonly numTrainSamples: number;
  /** Reads its samples, or finds them in the cache. Throws `ConfigError` for data that is missing or not sound. */
  open(): Promise<CanonicalDataset>;
}

export const FASHION_MNIST = 'fashion-mnist';

/** Fashion-MNIST, found or fetched when it is opened. */
export function fashionMnistSource(dataDir: string | undefined, log: (line: string) => void): DatasetSource {
  return {
    name: FASHION_MNIST,
    source: FASHION_MNIST,
    shape: FASHION_MNIST_SHAPE,
    classes: FASHION_MNIST_CLASSES,
    numTrainSamples: 60_000,
    open: async () =>
      (await openDatasetFiles(datasetPlaces(dataDir))) ?? canonicalFashionMnist(await obtainDataset({ dataDir, log })),
  };
}

/** What records say of a dataset. */
export function identityOf(
  { name, source }: DatasetSource,
  { shape, classes, sha256 }: CanonicalDataset,
): DatasetIdentity {
  return { name, source, shape, classes, sha256 };
}
