/** The other half of the schedules of `schedules.test.ts`. */
import { test } from 'vitest';
import { expectPromisesKeptFrom, FIRST_SEED, HANGING_MS, NUM_SCHEDULES } from './expect-promises.ts';

const seed = FIRST_SEED + NUM_SCHEDULES;

test(
  `every promise is kept under ${NUM_SCHEDULES} more schedules, from seed ${seed} on`,
  { timeout: HANGING_MS },
  async () => {
    await expectPromisesKeptFrom(seed);
  },
);
