/**
 * `npm run simulate -- --schedules N --seed S`: simulates N schedules, from seed S on, and prints those that break a
 * promise, shrunken, until there are `--failures` of them (5). `--schedule JSON` carries out one as it was printed here;
 * `--history` prints every event of one.
 */
import { parseArgs } from 'node:util';
import { scheduleOf } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { describeFailure, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    failures: { type: 'string', default: '5' },
    schedule: { type: 'string' },
    history: { type: 'boolean', default: false },
  },
});
const print = (line: string) => void process.stdout.write(`${line}\n`);

function wholeNumber(flag: 'schedules' | 'seed' | 'failures'): number {
  const value = Number(values[flag]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  print(`--${flag} ${values[flag]}: expected a whole number from 0 on`);
  process.exit(2);
}

const given = values.schedule === undefined ? undefined : (JSON.parse(values.schedule) as Schedule);
const numSchedules = values.history || given ? 1 : wholeNumber('schedules');
const firstSeed = wholeNumber('seed');
const mostFailures = wholeNumber('failures');
const startMs = performance.now();
let numEvents = 0;
let numFailed = 0;

let seed = firstSeed;
for (; seed < firstSeed + numSchedules && numFailed < mostFailures; seed++) {
  const schedule = given ?? scheduleOf(seed);
  const result = await simulate(schedule, values.history ? print : undefined);
  numEvents += result.numEvents;
  if (result.violation !== undefined) {
    numFailed++;
    print(`seed ${seed}\n${describeFailure(await shrink({ schedule, result }))}\n`);
  }
  if (values.history) print(describeFailure({ schedule, result }));
  if ((seed - firstSeed + 1) % 10_000 === 0) print(`${seed - firstSeed + 1} schedules, ${numFailed} failed`);
}

const seconds = (performance.now() - startMs) / 1000;
print(
  `${seed - firstSeed} schedules from seed ${firstSeed}, ${numEvents} events, ${seconds.toFixed(1)} s, ` +
    `${((seed - firstSeed) / seconds).toFixed(0)} schedules a second: ${numFailed} failed`,
);
process.exitCode = numFailed > 0 ? 1 : 0;
