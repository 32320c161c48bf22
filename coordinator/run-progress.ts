/** How far a run has come, for its result. */
import type { EpochRecord } from './reporting/reporter.ts';

/** What the result tells of the epochs. */
export interface RunProgress {
  epochs: number;
  testAccuracy: number | null;
  /** The record of the last epoch that was trained here. */
  last?: EpochRecord;
}
