/** An uncompressed copy of the dataset, for processes that are started again and again: unpacking costs each a second. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { DATASET_FILES } from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, readDatasetFiles, storeDatasetFile } from '../../protocol/data/fashion-mnist-files.ts';

export interface DatasetCopy {
  readonly folder: string;
  remove(): void;
}

/**
 * Makes the copy in a temporary folder. Throws `ConfigError` when Fashion-MNIST is not on this machine.
 *
 * `dataDir`: the only folder in which the files are looked for. Default: the usual places.
 */
export async function copyDataset(dataDir?: string): Promise<DatasetCopy> {
  const files = await readDatasetFiles(datasetPlaces(dataDir));
  if (!files) throw new ConfigError('Fashion-MNIST is not on this machine: run `npx gradsock data fetch`');
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-data-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const file of DATASET_FILES) await storeDatasetFile(folder, file, files[file]);
    return { folder, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
