/**
 * StepRecords: what is written of steps, to `steps.jsonl`. A step only puts its line into memory; the disk is waited for at
 * the end of an epoch, and before a checkpoint is written, which may not be ahead of the records of its steps.
 */
import { isKthStep } from '../reporting/step-record.ts';
import type { StepRecord } from '../reporting/step-record.ts';
import type { RunDirectory } from './run-directory.ts';

/** Lines that are written in the background while an epoch lasts: some 500 kB. */
const MOST_WAITING = 1000;

export interface StepRecords {
  /** Takes the record, if it is that of a K-th step. */
  readonly add: (record: StepRecord) => void;
  /** All that were added before are on the disk, or rejects with `StorageError`; nothing is written after that. */
  flush(): Promise<void>;
}

export interface StepRecordsOptions {
  /** K: the steps by whose number it divides are recorded; of rounds, those that have such a step. */
  readonly every: number;
  readonly directory: Pick<RunDirectory, 'appendSteps'>;
}

export function createStepRecords({ every, directory }: StepRecordsOptions): StepRecords {
  let waiting: string[] = [];
  let written = Promise.resolve();

  const write = async () => {
    if (waiting.length === 0) return;
    const lines = waiting;
    waiting = [];
    await directory.appendSteps(lines);
  };
  // One write after the other: the file has the steps in their order. After one that failed there is no other.
  const flush = () => (written = written.then(write));

  return {
    add(record) {
      if (!isKthStep(record, every)) return;
      waiting.push(JSON.stringify(record));
      // The next one to wait for it is told of its failure.
      if (waiting.length % MOST_WAITING === 0) flush().catch(() => {});
    },
    flush,
  };
}
