/** For tests: schedules under which the program must keep its promises. */
import { expect } from 'vitest';
import { scheduleOf } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { describeFailure, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';
import { countOfCases, freshSeed } from '../helpers/tier.ts';

/** Of a test file, with fixed seeds: what passed once must pass again. `npm run simulate` is for more. */
export const NUM_FIXED = 600;
/** And with seeds that are new in each run; `GRADSOCK_SCHEDULES` changes their number, `GRADSOCK_SEED_SCHEDULES` the first. */
export const NUM_FRESH = countOfCases(50, 20_000, 'GRADSOCK_SCHEDULES');
export const FRESH_SEED = freshSeed('GRADSOCK_SEED_SCHEDULES');

/** Fails with the smallest schedule that it can find. */
export async function expectPromisesKept(schedule: Schedule): Promise<void> {
  const result = await simulate(schedule);
  if (result.violation === undefined) return;
  expect.fail(`seed ${schedule.seed} breaks a promise\n${describeFailure(await shrink({ schedule, result }, 200))}`);
}

/** The same for as many schedules, from a seed on. */
export async function expectPromisesKeptFrom(firstSeed: number, numSchedules: number): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + numSchedules; seed++) await expectPromisesKept(scheduleOf(seed));
}

/** A bound on hanging: a schedule takes some milliseconds. */
export const HANGING_MS = 900_000;
