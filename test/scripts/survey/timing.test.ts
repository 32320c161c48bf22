import { describe, expect, it } from 'vitest';
import { timeStep } from '../../../scripts/survey/step-timing.ts';

/** A training whose steps take these milliseconds, the last one's from then on, by a clock of its own. */
function training(estimateMs: number, ...stepsMs: number[]) {
  let clockMs = 0;
  let numSteps = 0;
  const next = () => {
    clockMs += stepsMs[Math.min(numSteps++, stepsMs.length - 1)]!;
    return Promise.resolve(0);
  };
  const work = { next, estimateMs: () => Promise.resolve(estimateMs) };
  return { work, now: () => clockMs, stepsTaken: () => numSteps, tookMs: () => clockMs };
}

describe('the time of a step', () => {
  it('is the median of 15 steps after a warm-up', async () => {
    const { work, now, stepsTaken } = training(10, 500, 30, 11, 9, 10);
    expect(await timeStep(work, now)).toEqual({ stepMs: 10 });
    expect(stepsTaken()).toBe(16);
  });

  it('is the median of as many as two seconds hold', async () => {
    const { work, now, stepsTaken, tookMs } = training(300, 320, 300);
    expect(await timeStep(work, now)).toEqual({ stepMs: 300 });
    expect(stepsTaken()).toBe(6);
    expect(tookMs()).toBeLessThanOrEqual(2000);
  });

  it('is that of the only one that two seconds hold, which is said', async () => {
    const { work, now } = training(1500, 1600);
    expect(await timeStep(work, now)).toEqual({ stepMs: 1600, note: 'timed once, cold' });
  });

  it('is none where one step is expected to take longer: none is taken', async () => {
    const { work, now, stepsTaken } = training(23_400, 1);
    expect(await timeStep(work, now)).toEqual({ stepMs: null, note: 'not timed: a step takes an estimated 23 s' });
    expect(stepsTaken()).toBe(0);
  });
});
