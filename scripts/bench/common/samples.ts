/** Where the samples are that both sides read, and what PyTorch's processes are told of them. */
import { ConfigError } from '../../../protocol/errors.ts';
import { DATASET_FILES } from '../../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, locateDatasetFile, readDatasetFiles } from '../../../protocol/data/fashion-mnist-files.ts';
import type { ModelSpec } from '../../../protocol/state/model-spec.ts';
import { DEFAULT_RECIPE } from '../../flags/recipe.ts';

/** The folder with the dataset's files, verified. Throws `ConfigError` where there is none. */
export async function findDataFolder(dataDir: string | undefined): Promise<string> {
  const places = datasetPlaces(dataDir);
  if ((await readDatasetFiles(places)) === undefined) {
    throw new ConfigError('Fashion-MNIST is not on this machine: run `gradsock data fetch`');
  }
  return places.find(({ folder }) => locateDatasetFile(folder, DATASET_FILES[0]!) !== undefined)!.folder;
}

/** The job of a process of PyTorch's that trains: it is named the files of the samples, and reads the same ones. */
export function pytorchJob(model: ModelSpec, folder: string, globalBatch: number): object {
  const { learningRate, momentum, weightDecay } = DEFAULT_RECIPE;
  return {
    task: 'step',
    model,
    images: locateDatasetFile(folder, 'train-images-idx3-ubyte'),
    labels: locateDatasetFile(folder, 'train-labels-idx1-ubyte'),
    ...{ globalBatch, learningRate, momentum, weightDecay },
  };
}
