/** Which sizes are measured: from the flags to numbers of workers and batches. */
import { countOf } from '../../../protocol/counts.ts';
import { ConfigError } from '../../../protocol/errors.ts';

export interface SizeFlags {
  readonly workers: readonly number[];
  /** Samples of a step, whatever the number of workers: strong scaling. */
  readonly globalBatch: number;
  /** Samples of a step for each worker: weak scaling, instead of `globalBatch`. */
  readonly batchPerWorker?: number | undefined;
}

/** A number of workers and the samples of their step, all together. */
export interface Contest {
  readonly numWorkers: number;
  readonly globalBatch: number;
}

export interface Contests {
  /** Samples of a step of the one process that all are compared with. */
  readonly singleBatch: number;
  readonly contests: readonly Contest[];
}

/** Throws `ConfigError` for a batch that does not divide among the workers: DDP would weigh samples unequally. */
export function planContests({ workers, globalBatch, batchPerWorker }: SizeFlags): Contests {
  const numbers = [...new Set(workers)].sort((a, b) => a - b);
  if (batchPerWorker !== undefined) {
    const contests = numbers.map((numWorkers) => ({ numWorkers, globalBatch: batchPerWorker * numWorkers }));
    return { singleBatch: batchPerWorker, contests };
  }
  for (const numWorkers of numbers) {
    if (globalBatch % numWorkers !== 0) {
      throw new ConfigError(
        `--global-batch ${globalBatch} does not divide among ${countOf(numWorkers, 'worker')}: ` +
          `use a multiple of ${numWorkers}, or --batch-per-worker`,
      );
    }
  }
  return { singleBatch: globalBatch, contests: numbers.map((numWorkers) => ({ numWorkers, globalBatch })) };
}
