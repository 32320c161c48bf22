/** Shrinks a schedule that fails to one that fails in the same way and has as little in it as can be. */
import { simplerThan } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { simulate } from './simulate.ts';
import type { SimulationResult } from './simulate.ts';

export interface Failure {
  readonly schedule: Schedule;
  readonly result: SimulationResult;
}

/** Takes the first simpler schedule that fails in the same way, again and again; no more than `mostTries` are tried. */
export async function shrink(failure: Failure, mostTries = 600): Promise<Failure> {
  let smallest = failure;
  let numTries = 0;
  for (;;) {
    const simpler = await firstThatFails(smallest, () => numTries++ < mostTries);
    if (!simpler) return smallest;
    smallest = simpler;
  }
}

async function firstThatFails({ schedule, result }: Failure, mayTry: () => boolean): Promise<Failure | undefined> {
  for (const simpler of simplerThan(schedule)) {
    if (!mayTry()) return undefined;
    const again = await simulate(simpler);
    if (kindOf(again) !== undefined && kindOf(again) === kindOf(result)) return { schedule: simpler, result: again };
  }
  return undefined;
}

/** The violation without names and numbers: a schedule without a worker, say, fails too, but for another reason. */
const kindOf = ({ violation }: SimulationResult): string | undefined =>
  violation
    ?.split('\n')[0]!
    .replace(/worker-\d+['"]*( \(w\d+\))?/g, 'worker')
    .replace(/[\d.]+/g, '#');

/** For people: what failed, the schedule, and what the program told. */
export function describeFailure({ schedule, result }: Failure): string {
  const { workers, coordinatorFaults, controls = [], ...rest } = schedule;
  return [
    `violation: ${result.violation}`,
    `settings: ${JSON.stringify(rest)}`,
    ...workers.map((worker, index) => `  worker-${index}: ${JSON.stringify(worker)}`),
    ...coordinatorFaults.map((fault) => `  coordinator: ${JSON.stringify(fault)}`),
    ...controls.map((control) => `  control: ${JSON.stringify(control)}`),
    `schedule: ${JSON.stringify(schedule)}`,
    'what was told, with virtual milliseconds:',
    ...result.said.map((line) => `  ${line}`),
  ].join('\n');
}
