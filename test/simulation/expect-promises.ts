/** For tests: a schedule under which the program must keep its promises. */
import { expect } from 'vitest';
import { scheduleOf } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { describeFailure, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

/** How many schedules a test file tries, and from which seed on; `GRADSOCK_SEED_SCHEDULES` sets the latter. */
export const NUM_SCHEDULES = Number(process.env['GRADSOCK_SCHEDULES'] ?? 1000);
export const FIRST_SEED = Number(process.env['GRADSOCK_SEED_SCHEDULES'] ?? Date.now() % 2 ** 31);

/** Fails with the smallest schedule that it can find. */
export async function expectPromisesKept(schedule: Schedule): Promise<void> {
  const result = await simulate(schedule);
  if (result.violation === undefined) return;
  expect.fail(`seed ${schedule.seed} breaks a promise\n${describeFailure(await shrink({ schedule, result }, 200))}`);
}

/** The same for `NUM_SCHEDULES` of them. */
export async function expectPromisesKeptFrom(firstSeed: number): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + NUM_SCHEDULES; seed++) await expectPromisesKept(scheduleOf(seed));
}

/** A bound on hanging: a schedule takes some milliseconds. */
export const HANGING_MS = 900_000;
