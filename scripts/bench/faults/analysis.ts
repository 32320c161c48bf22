/**
 * What traces of runs say: how long a worker's death holds a run up, and what checkpoints cost its steps.
 *
 * The **duration of a step** is the time between its end at the coordinator and the end of the step before, in the same
 * epoch. An epoch's first step has none: the proof and evaluation of the epoch before lie in between.
 */
import { internalError } from '../../../protocol/errors.ts';
import { quantile } from '../../tables/statistics.ts';
import type { RunTrace } from './job.ts';

/** How many steps before and after a fault are looked at. */
const NUM_BEFORE = 200;
const NUM_AFTER = 50;

export interface Death {
  /** The step in which the worker was found lost, less the median step before: what the run waited, and did again. */
  readonly lostMs: number;
  /** From the signal until the worker was found lost. */
  readonly foundMs: number;
  /** Median steps: of the 200 before, of the 50 after the loss, and of the 50 after another worker had taken its part. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly replacedMs: number;
  /** From the loss until another had taken its part. */
  readonly awayMs: number;
}

interface Step {
  readonly endMs: number;
  readonly durationMs: number;
}

/** Throws for a run in which nothing happened, or too little came before or after it. */
export function analyseDeath({ stepEndsMs, faultMs, lostMs, replacedMs }: RunTrace): Death {
  if (faultMs === undefined || lostMs === undefined || replacedMs === undefined) {
    throw internalError('a run in which no worker was lost and replaced');
  }
  const steps = stepEndsMs.flatMap(durationsOf);
  const medianOf = (some: readonly Step[]) => {
    const durations = some.map(({ durationMs }) => durationMs);
    return quantile(durations, 0.5);
  };
  const before = steps.filter(({ endMs }) => endMs < faultMs).slice(-NUM_BEFORE);
  const at = steps.findIndex(({ endMs }) => endMs >= lostMs);
  const beforeMs = medianOf(before);
  return {
    lostMs: steps[at]!.durationMs - beforeMs,
    foundMs: lostMs - faultMs,
    beforeMs,
    afterMs: medianOf(steps.slice(at + 1, at + 1 + NUM_AFTER)),
    replacedMs: medianOf(steps.filter(({ endMs }) => endMs > replacedMs).slice(1, 1 + NUM_AFTER)),
    awayMs: replacedMs - lostMs,
  };
}

/** All steps of the run together, without what is between epochs: seconds. */
export function trainingSeconds({ stepEndsMs }: RunTrace): number {
  return stepEndsMs.reduce((sum, ends) => sum + ends.at(-1)! - ends[0]!, 0) / 1000;
}

/** Mean duration of a step in each epoch after the first, in which code is compiled. */
export function meanStepsMs({ stepEndsMs }: RunTrace): number[] {
  return stepEndsMs.slice(1).map((ends) => (ends.at(-1)! - ends[0]!) / (ends.length - 1));
}

/**
 * What one checkpoint costs the run, in milliseconds, and as a part of the steps between two. A checkpoint is taken after
 * every `every`-th step. The first half of the steps between two is compared with the second, when it is long written:
 * the difference of their mean durations, times half of `every`.
 */
export function analyseStalls({ stepEndsMs }: RunTrace, every: number): { stallMs: number; share: number } {
  const half = Math.floor(every / 2);
  const halves = { first: [] as number[], second: [] as number[] };
  let stepsBefore = 0;
  for (const [epoch, ends] of stepEndsMs.entries()) {
    const durations = durationsOf(ends).map(({ durationMs }) => durationMs);
    // durations[i] is that of step stepsBefore + i + 2, counted from 1.
    for (let saved = Math.ceil((stepsBefore + 1) / every) * every; ; saved += every) {
      const at = saved - stepsBefore - 1;
      if (at + every > durations.length) break;
      if (epoch === 0) continue;
      halves.first.push(...durations.slice(at, at + half));
      halves.second.push(...durations.slice(at + half, at + every));
    }
    stepsBefore += ends.length;
  }
  const stallMs = (mean(halves.first) - mean(halves.second)) * half;
  return { stallMs, share: stallMs / (mean(halves.second) * every) };
}

function durationsOf(ends: readonly number[]): Step[] {
  return ends.slice(1).map((endMs, i) => ({ endMs, durationMs: endMs - ends[i]! }));
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
