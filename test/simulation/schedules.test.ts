/**
 * The program under thousands of schedules of faults, in virtual time; half of them here, half in `more-schedules.test.ts`,
 * for two cores. `npm run simulate -- --schedules 1 --seed N` carries out the one of a seed again.
 */
import { expect, test } from 'vitest';
import { expectPromisesKept, expectPromisesKeptFrom } from './expect-promises.ts';
import { FRESH_SEED, HANGING_MS, NUM_FIXED, NUM_FRESH } from './expect-promises.ts';
import { FAILED_ONCE, FAILED_SEEDS } from './failed-once.ts';
import { scheduleOf } from './schedule.ts';
import { simulate } from './simulate.ts';

test('the same seed has the same history, event by event', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const [first, second]: [string[], string[]] = [[], []];
    const results = [
      await simulate(scheduleOf(seed), (line) => first.push(line)),
      await simulate(scheduleOf(seed), (line) => second.push(line)),
    ];
    expect(first.length).toBeGreaterThan(20);
    const differsAt = first.findIndex((line, index) => line !== second[index]);
    expect([seed, differsAt, second[differsAt]]).toEqual([seed, -1, undefined]);
    expect(second.length).toBe(first.length);
    expect(results[1]).toEqual(results[0]);
  }
});

test.each(FAILED_ONCE)('every promise is kept where once %s', async (_fault, schedule) => {
  await expectPromisesKept(schedule);
});

test.each(FAILED_SEEDS)('every promise is kept under the schedule of seed %i, which once failed', async (seed) => {
  // Nobody paused runs then.
  await expectPromisesKept({ ...scheduleOf(seed), controls: [] });
});

test(`every promise is kept under ${NUM_FIXED} schedules`, { timeout: HANGING_MS }, async () => {
  await expectPromisesKeptFrom(1, NUM_FIXED);
});

test(`and under ${NUM_FRESH} new ones, from seed ${FRESH_SEED} on`, { timeout: HANGING_MS }, async () => {
  await expectPromisesKeptFrom(FRESH_SEED, NUM_FRESH);
});
