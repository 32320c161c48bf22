/** Before any test: the real data must be on this machine. */
import { fetchDataset } from '../../coordinator/dataset-fetch.ts';
import { datasetPlaces, readDatasetFiles } from '../../protocol/state/dataset-files.ts';

export async function setup(): Promise<void> {
  const found = await readDatasetFiles(datasetPlaces());
  if (!found) await fetchDataset({ log: (line) => process.stderr.write(`${line}\n`) });
}
