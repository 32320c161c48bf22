/** Contributions: each worker's part of one step. */
import type { Arrival } from '../all-reduce/all-reduce.ts';
import type { ReadyWorker } from './reported-event.ts';

export interface Contribution {
  readonly worker: ReadyWorker;
  readonly samples: number;
  /** By the worker's own clock. */
  readonly computeMs: number;
  /** The time in which all others were done, and the step waited for this worker alone. */
  readonly delayMs: number;
}

/** `arrivals`: in order of arrival. */
export function contributionsOf(arrivals: readonly Arrival[]): Contribution[] {
  const last = arrivals.length - 1;
  return arrivals.map(({ member, numSamples, computeMs }, i) => ({
    worker: member,
    samples: numSamples,
    computeMs,
    delayMs: i === last ? delayOfLast(arrivals) : 0,
  }));
}

/** Milliseconds by which the last one came after the one before it; 0 of one alone. */
export function delayOfLast(arrivals: readonly Arrival[]): number {
  const beforeLast = arrivals.at(-2);
  return beforeLast ? arrivals.at(-1)!.atMs - beforeLast.atMs : 0;
}
