/** The dataset that a run was trained on, found again on this machine: nothing is downloaded, and no other one is taken. */
import { openCached } from '../../protocol/data/dataset-cache.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import type { DatasetIdentity } from '../../protocol/data/dataset.ts';
import { datasetPlaces, openDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import { FASHION_MNIST_SHA256 } from '../../protocol/data/fashion-mnist.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { FASHION_MNIST } from './dataset-source.ts';
import { findDataset } from './find-dataset.ts';

/**
 * Undefined where the data is not at hand: it is gone, is another now, or cannot be read. The caller closes its bytes.
 *
 * `recorded`: as `config.json` has it; undefined of a run of a version that knew Fashion-MNIST alone.
 */
export async function openLocalDataset(recorded: DatasetIdentity | undefined): Promise<CanonicalDataset | undefined> {
  const sha256 = recorded?.sha256 ?? FASHION_MNIST_SHA256;
  const open = sha256 === FASHION_MNIST_SHA256 ? () => openDatasetFiles(datasetPlaces()) : () => openOther(recorded!);
  const found = await open().catch(() => undefined);
  if (found?.sha256 === sha256) return found;
  found?.bytes.close();
  return undefined;
}

/** From the cache, where datasets of all forms are kept; else from where the run found it. */
async function openOther(recorded: DatasetIdentity): Promise<CanonicalDataset | undefined> {
  const log = () => {};
  const cached = await openCached(recorded.sha256, log);
  if (cached || recorded.source === FASHION_MNIST) return cached;
  const fetchFile = () => Promise.reject(new ConfigError(`${recorded.source}: not on this machine`));
  const source = await findDataset({ data: recorded.source, recorded, log, fetchFile });
  return source.open();
}
