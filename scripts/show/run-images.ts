/** Images of what runs evaluate, from their datasets where these are still on this machine. */
import { createSampleImages } from '../../coordinator/dashboard/sample-images.ts';
import type { SampleImages } from '../../coordinator/dashboard/sample-images.ts';
import { openLocalDataset } from '../../coordinator/dataset/local-dataset.ts';
import { selectSamples } from '../../coordinator/dataset/select-samples.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';

/** Datasets that are held open at once: files, and of compressed ones their content. */
const MOST_OPEN = 2;

export interface RunImages {
  /** Of the samples that such a run evaluates; undefined where its data is not at hand. */
  of(config: RunConfig): Promise<SampleImages | undefined>;
  close(): Promise<void>;
}

export function createRunImages(open = openLocalDataset): RunImages {
  const opened = new Map<string, Promise<CanonicalDataset | undefined>>();
  const close = async (found: Promise<CanonicalDataset | undefined>) => (await found)?.bytes.close();
  const datasetOf = ({ dataset }: RunConfig) => {
    const key = dataset?.sha256 ?? '';
    const found = opened.get(key) ?? open(dataset);
    // The one that was asked for last is given up last.
    opened.delete(key);
    opened.set(key, found);
    for (const [other, one] of [...opened].slice(0, -MOST_OPEN)) {
      opened.delete(other);
      void close(one);
    }
    return found;
  };
  return {
    async of(config) {
      const dataset = await datasetOf(config);
      return dataset && imagesIn(dataset, config);
    },
    async close() {
      await Promise.all([...opened.values()].map(close));
      opened.clear();
    },
  };
}

/** Of what the run evaluates. */
export function imagesIn(dataset: CanonicalDataset, config: RunConfig): SampleImages {
  const name = config.dataset?.name ?? 'the data';
  const { evaluation } = selectSamples({ name, splits: dataset.splits }, config);
  return createSampleImages(evaluation, dataset.shape);
}
