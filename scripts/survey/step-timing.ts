/** How long a training step takes, found within a bounded time. */
import { quantile } from '../tables/statistics.ts';
import { tooSlow } from './step-estimate.ts';
import type { TrainingStep } from './training-step.ts';

/** So long are steps repeated. */
const REPEAT_MS = 2000;
/** Enough for a median; fast engines need no more than a few milliseconds for them. */
const MAX_STEPS = 15;

export interface StepTiming {
  /** Median wall time of a step; null when it was not timed, as `note` says. */
  readonly stepMs: number | null;
  readonly note?: string;
}

/**
 * The median of up to 15 steps after a warm-up. A step that is expected to take more than 2 s is not taken at all, a
 * slow one once. So this ends after about 2 s, unless a cold step takes far longer than a warm one. `now`: a clock, in
 * milliseconds.
 */
export async function timeStep(
  training: Pick<TrainingStep, 'next' | 'estimateMs'>,
  now = () => performance.now(),
): Promise<StepTiming> {
  const expectedMs = await training.estimateMs();
  const reason = tooSlow(expectedMs);
  if (reason !== undefined) return { stepMs: null, note: `not timed: ${reason}` };
  const time = async (): Promise<number> => {
    const startMs = now();
    await training.next();
    return now() - startMs;
  };
  const startMs = now();
  const warmUpMs = await time();
  const times: number[] = [];
  while (times.length < MAX_STEPS && now() - startMs + (times.at(-1) ?? Math.min(expectedMs, warmUpMs)) < REPEAT_MS) {
    times.push(await time());
  }
  return times.length > 0 ? { stepMs: quantile(times, 0.5) } : { stepMs: warmUpMs, note: 'timed once, cold' };
}
