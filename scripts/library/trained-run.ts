/** What is handed back of a run. */
import type { RunResult } from '../../coordinator/reporting/reporter.ts';
import type { Model } from './model.ts';

/** A run that is over. */
export interface TrainedRun {
  /** What `result.json` says. A run that failed is told by its `status` and `error`. */
  readonly result: RunResult;
  /** The run directory; undefined of a run that left nothing behind. */
  readonly runDir: string | undefined;
  /** The model after the last step; undefined of a run that took none. To be disposed of by the caller once it was used. */
  readonly model: Model | undefined;
}
