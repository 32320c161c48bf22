/** How many workers a run has: to begin with, at most, and as a rule. */
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';

export interface WorkerCounts {
  workers: number;
  minWorkers?: number;
  maxWorkers?: number;
}

/** The workers of a run. */
export interface Workforce {
  /** Workers that the run waits for before it begins. */
  readonly numWorkers: number;
  /** Workers that compute at the same time. Default: as many as a step has microbatches. */
  readonly maxWorkers?: number;
  /** The microbatches of a global batch, where no flag says otherwise: one for each worker. */
  readonly defaultMicrobatches: number;
}

/** Throws `ConfigError` for a maximum below the minimum. */
export function workforceOf({ workers, minWorkers, maxWorkers }: WorkerCounts): Workforce {
  const numWorkers = minWorkers ?? workers;
  if (maxWorkers !== undefined && maxWorkers < numWorkers) {
    const given = minWorkers === undefined ? `--workers ${workers}` : `--min-workers ${minWorkers}`;
    throw new ConfigError(
      `--max-workers ${maxWorkers}: expected at least ${numWorkers}, as the run begins with ${countOf(numWorkers, 'worker')} ` +
        `(${given}): give a larger --max-workers, or a smaller --min-workers`,
    );
  }
  const defaultMicrobatches = maxWorkers ?? Math.max(workers, numWorkers);
  return { numWorkers, ...(maxWorkers !== undefined && { maxWorkers }), defaultMicrobatches };
}
