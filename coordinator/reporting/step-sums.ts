/** Step sums: what steps add up to until somebody asks. Adding takes well under a microsecond for each worker. */
import type { Contribution } from './contributions.ts';
import type { PartsInMs } from './flat-parts.ts';
import type { StepRecord } from './step-record.ts';

/** The parts of a step's time, and the field of its record that has each. */
export const STEP_PARTS: readonly (readonly [part: string, field: keyof PartsInMs])[] = [
  ['compute', 'computePartMs'],
  ['encode', 'encodePartMs'],
  ['wire', 'wirePartMs'],
  ['wait', 'waitPartMs'],
  ['reduce', 'reducePartMs'],
  ['apply', 'applyPartMs'],
  ['other', 'otherPartMs'],
];

export interface WorkerSums {
  samples: number;
  computeMs: number;
  delayMs: number;
}

export class StepSums {
  steps = 0;
  samples = 0;
  /** Bytes without those in shared memory. */
  bytesSent = 0;
  bytesReceived = 0;
  /** Milliseconds, in the order of `STEP_PARTS`. */
  readonly partsMs = STEP_PARTS.map(() => 0);
  /** By the worker's id. */
  readonly workers = new Map<string, WorkerSums>();

  add(record: StepRecord, contributions: readonly Contribution[]): void {
    this.steps += record.steps;
    this.samples += record.samples;
    this.bytesSent += record.bytesSent - record.sharedBytesSent;
    this.bytesReceived += record.bytesReceived - record.sharedBytesReceived;
    for (let i = 0; i < STEP_PARTS.length; i++) this.partsMs[i]! += record[STEP_PARTS[i]![1]];
    for (const { worker, samples, computeMs, delayMs } of contributions) {
      const sums = this.#sumsOf(worker.id);
      sums.samples += samples;
      sums.computeMs += computeMs;
      sums.delayMs += delayMs;
    }
  }

  #sumsOf(id: string): WorkerSums {
    let sums = this.workers.get(id);
    if (!sums) {
      sums = { samples: 0, computeMs: 0, delayMs: 0 };
      this.workers.set(id, sums);
    }
    return sums;
  }
}
