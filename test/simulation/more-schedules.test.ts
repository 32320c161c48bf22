/** The other half of the schedules of `schedules.test.ts`. */
import { test } from 'vitest';
import { expectPromisesKeptFrom, FRESH_SEED, HANGING_MS, NUM_FIXED, NUM_FRESH } from './expect-promises.ts';

const freshSeed = FRESH_SEED + NUM_FRESH;

test(`every promise is kept under ${NUM_FIXED} more schedules`, { timeout: HANGING_MS }, async () => {
  await expectPromisesKeptFrom(1 + NUM_FIXED, NUM_FIXED);
});

test(`and under ${NUM_FRESH} new ones, from seed ${freshSeed} on`, { timeout: HANGING_MS }, async () => {
  await expectPromisesKeptFrom(freshSeed, NUM_FRESH);
});
