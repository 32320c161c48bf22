/**
 * The program under thousands of schedules of faults, in virtual time. A schedule that breaks a promise is printed with its
 * seed; `npm run simulate -- --schedules 1 --seed N` carries it out again, and shrinks it.
 */
import { describe, expect, test } from 'vitest';
import { scheduleOf } from './schedule.ts';
import { FAILED_ONCE } from './seeds.ts';
import { describeFailure, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

/** Fails with the smallest schedule that it can find. */
async function expectPromisesKept(seed: number): Promise<void> {
  const schedule = scheduleOf(seed);
  const result = await simulate(schedule);
  if (result.violation === undefined) return;
  const smallest = await shrink({ schedule, result }, 200);
  expect.fail(`seed ${seed} breaks a promise\n${describeFailure(smallest)}`);
}

describe('the simulated cluster', () => {
  test('has the same history, event by event, for the same seed', async () => {
    for (const seed of [3, 40, 215]) {
      const [first, second]: [string[], string[]] = [[], []];
      const results = [
        await simulate(scheduleOf(seed), (line) => first.push(line)),
        await simulate(scheduleOf(seed), (line) => second.push(line)),
      ];
      expect(first.length).toBeGreaterThan(100);
      expect(second).toEqual(first);
      expect(results[1]).toEqual(results[0]);
    }
  });

  test.each(FAILED_ONCE)('keeps every promise under seed %i, which once failed: %s', expectPromisesKept);

  const numSchedules = Number(process.env['GRADSOCK_SCHEDULES'] ?? 1000);
  const firstSeed = Number(process.env['GRADSOCK_SEED_SCHEDULES'] ?? Date.now() % 2 ** 31);
  // A bound on hanging: a schedule takes some milliseconds.
  test(
    `keeps every promise under ${numSchedules} schedules from seed ${firstSeed} on`,
    { timeout: 600_000 },
    async () => {
      for (let seed = firstSeed; seed < firstSeed + numSchedules; seed++) await expectPromisesKept(seed);
    },
  );
});
