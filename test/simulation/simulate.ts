/**
 * Simulates one schedule: a coordinator, its workers, their network and a disk, in virtual time, and checks what the
 * program promises:
 *
 * - each step ends within a bounded time, and the run is completed, unless its only worker computes nonsense;
 * - no healthy worker is lost, however long a person pauses the run, and none of them ends with an error;
 * - each epoch is recorded once, with every sample counted once, and with a time that its parts add up to, without pauses;
 * - the parameters have the bits of an undisturbed run where equal bits are promised;
 * - when the run is over, nothing is left that waits.
 */
import { createCluster } from './cluster.ts';
import { checkBits, checkOutcome, undisturbed } from './promises.ts';
import type { Schedule } from './schedule.ts';
import { useVirtualTime } from './virtual-time.ts';
import { createWorld, describeEvent } from './world.ts';

export interface SimulationResult {
  /** What was not as promised; undefined when all was. */
  readonly violation?: string | undefined;
  /** What the coordinator and the workers told their users, with the virtual time. */
  readonly said: readonly string[];
  readonly numEvents: number;
  readonly virtualMs: number;
  /** Of the final state; undefined in a run that was not completed. */
  readonly parametersSha256?: string | undefined;
  /** The one parameter whose gradient is 1 in every step. */
  readonly counter?: number | undefined;
}

/**
 * What a step, a checkpoint or an evaluation may take: several deadlines one after the other, and more for each fault. The
 * longest of these is that of a worker whose machine is gone while it prepares, two minutes.
 */
const BOUND_MS = 60_000;
const BOUND_PER_FAULT_MS = 130_000;
/** After the run: workers that have lost it wait for a coordinator for a minute, newcomers for ten. */
const AFTERWARDS_MS = 15 * 60_000;

/** Carries a schedule out. Never rejects. `onHistory` is told every event, one line each. */
export async function simulate(schedule: Schedule, onHistory?: (line: string) => void): Promise<SimulationResult> {
  const result = await carryOut(schedule, onHistory);
  if (result.violation !== undefined || result.parametersSha256 === undefined) return result;
  return { ...result, violation: checkBits(schedule, result, await quietResultOf(schedule)) };
}

const quietResults = new Map<string, Promise<SimulationResult>>();

/** Kept: many schedules disturb the same run. */
function quietResultOf(schedule: Schedule): Promise<SimulationResult> {
  const quiet = undisturbed(schedule);
  const key = JSON.stringify(quiet);
  const result = quietResults.get(key) ?? carryOut(quiet);
  quietResults.set(key, result);
  return result;
}

async function carryOut(schedule: Schedule, onHistory?: (line: string) => void): Promise<SimulationResult> {
  const world = createWorld(schedule.seed);
  useVirtualTime(world);
  if (onHistory) world.onEvent = (event) => onHistory(describeEvent(event));
  const said: string[] = [];
  const cluster = createCluster(world, schedule, (who, line) => {
    said.push(`${world.nowMs.toFixed(0).padStart(7)} ${who}: ${line}`);
  });

  const numFaults = [...schedule.coordinatorFaults, ...schedule.workers.flatMap(({ faults }) => faults)].length;
  const pausesMs = (schedule.controls ?? []).reduce((sum, one) => sum + (one.kind === 'pause' ? one.pauseMs : 0), 0);
  const boundMs = BOUND_MS + BOUND_PER_FAULT_MS * numFaults + pausesMs;
  const isOver = () => cluster.violation !== undefined || cluster.trained !== undefined || cluster.hasRightlyFailed;
  const isStuck = () => world.nowMs - cluster.lastProgressMs > boundMs;
  let violation: string | undefined;
  const ended = await world.run(() => isOver() || isStuck(), Infinity);
  if (!isOver()) {
    violation = ended === 'idle' ? 'nothing happens any more' : `no step ended within ${boundMs / 1000} s`;
  } else if (cluster.violation === undefined) {
    const left = await world.run(() => cluster.violation !== undefined, world.nowMs + AFTERWARDS_MS);
    const [timer] = world.pendingTimers();
    if (left === 'limit') violation = `something still happens after the run: ${timer?.owner.name ?? 'messages'}`;
  }
  violation ??= cluster.violation ?? (cluster.hasRightlyFailed ? undefined : checkOutcome(schedule, cluster));
  useVirtualTime(undefined);

  const { trained } = cluster;
  return {
    violation,
    said,
    numEvents: world.numEvents,
    virtualMs: world.nowMs,
    parametersSha256: trained?.parametersSha256(),
    counter: trained?.parameters[0],
  };
}
