/** Schedules: what happens in a simulated run, made from a seed; and smaller ones of the same kind, to shrink one that fails. */
import { createRandom } from './random.ts';
import type { Random } from './random.ts';

/** What goes wrong with a worker, at the message that it is about to send as its `atSend`-th. */
export type WorkerFault =
  /** Its process ends, and its system says so; or the machine is gone without a word. */
  | { readonly kind: 'die' | 'vanish'; readonly atSend: number; readonly replacedAfterMs?: number | undefined }
  /** It is stopped, and continues. */
  | { readonly kind: 'hang'; readonly atSend: number; readonly stopMs: number }
  /** Its link to the coordinator carries nothing any more; it finds out by silence, and joins again. */
  | { readonly kind: 'cut'; readonly atSend: number }
  /** The same with its links to all other workers, in a ring. */
  | { readonly kind: 'cutPeers'; readonly atSend: number }
  /** Its engine computes nonsense: once, or from then on. */
  | { readonly kind: 'wrongOnce' | 'wrong'; readonly atSend: number };

export type CoordinatorFault =
  /** Its process ends, at the event that it is about to handle as its `atEvent`-th; with `losesPower` its machine does. */
  | { readonly kind: 'kill'; readonly atEvent: number; readonly losesPower: boolean; readonly resumedAfterMs: number }
  | { readonly kind: 'hang'; readonly atEvent: number; readonly stopMs: number }
  /** Its disk is full: the run fails, and is resumed with room on the disk. Or its user interrupts it, and resumes it. */
  | { readonly kind: 'diskFull' | 'interrupt'; readonly atEvent: number };

/**
 * What a person asks of the run, as the coordinator is about to handle its `atEvent`-th event: to pause, and after that time to
 * go on; or to stop after its epoch, upon which the run is resumed.
 */
export type ControlSchedule =
  | { readonly kind: 'pause'; readonly atEvent: number; readonly pauseMs: number }
  | { readonly kind: 'stop'; readonly atEvent: number };

export interface WorkerSchedule {
  /** When its process starts. */
  readonly startMs: number;
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly sharesMemory: boolean;
  /** Of a microbatch, and of a chunk of the evaluation. */
  readonly computeMs: number;
  readonly evaluateMs: number;
  readonly faults: readonly WorkerFault[];
}

/** A worker that is there from the start, fast, and has no faults. */
export const CALM_WORKER: WorkerSchedule = {
  startMs: 1,
  latencyMs: 1,
  jitterMs: 0,
  sharesMemory: false,
  computeMs: 1,
  evaluateMs: 1,
  faults: [],
};

export interface Schedule {
  /** Of delays. */
  readonly seed: number;
  readonly allReduce: 'star' | 'ring';
  readonly wire: 'f32' | 'bf16' | 'f16' | 'int8';
  readonly numBuckets: 1 | 4;
  readonly microbatches: number;
  readonly localSteps: number;
  readonly epochs: number;
  /** Steps; at the ends of epochs alone when undefined. */
  readonly checkpointEvery?: number | undefined;
  /** That the run waits for; others are newcomers. */
  readonly numAwaited: number;
  readonly workers: readonly WorkerSchedule[];
  readonly coordinatorFaults: readonly CoordinatorFault[];
  /** In the order of their events. Default: nobody asks for anything. */
  readonly controls?: readonly ControlSchedule[];
}

/** Stops that no deadline of the program is shorter than: a worker that was stopped for so long must not be lost. */
export const HARMLESS_STOP_MS = 2400;

/** Workers wait for 667 s, see `run-config.ts`. */
export const BEYOND_PATIENCE_MS = 800_000;

export function scheduleOf(seed: number): Schedule {
  const random = createRandom(seed, 'schedule');
  const allReduce = random.chance(0.3) ? 'ring' : 'star';
  const numBuckets = allReduce === 'star' && random.chance(0.4) ? 4 : 1;
  const microbatches = random.int(1, 7);
  const numAwaited = random.int(1, Math.min(4, microbatches));
  const numWorkers = numAwaited + (random.chance(0.4) ? random.int(1, 3) : 0);
  const isCalm = random.chance(0.15);
  const isSlow = random.chance(0.15);
  const workers = Array.from({ length: numWorkers }, (_, index) =>
    workerOf(random, { isNewcomer: index >= numAwaited, isCalm, isSlow: isSlow && random.chance(0.7) }),
  );
  const wire = random.chance(0.6) ? 'f32' : random.pick(['bf16', 'f16', 'int8'] as const);
  const coordinatorFaults = isCalm || random.chance(0.7) ? [] : [coordinatorFaultOf(random)];
  const mayBeWrong = allReduce === 'star' && coordinatorFaults.length === 0;
  return {
    seed,
    allReduce,
    wire,
    numBuckets,
    microbatches,
    localSteps: random.chance(0.15) ? 2 : 1,
    epochs: random.pick([1, 1, 2, 3]),
    checkpointEvery: random.chance(0.5) ? random.int(1, 3) : undefined,
    numAwaited,
    workers: isCalm ? workers : withSurvivor(withOneWrong(workers, mayBeWrong ? numAwaited : 0)),
    coordinatorFaults,
    controls: controlsOf(seed),
  };
}

/** From a stream of its own: all else of a seed's schedule is what it was before there were pauses. */
function controlsOf(seed: number): ControlSchedule[] {
  const random = createRandom(seed, 'controls');
  const numControls = random.chance(0.6) ? 0 : random.int(1, 3);
  const controls = Array.from({ length: numControls }, (): ControlSchedule => {
    const atEvent = random.int(1, random.pick([30, 100, 300]));
    if (random.chance(0.15)) return { kind: 'stop', atEvent };
    // Up to beyond what a step may take; now and then beyond a worker's patience, which costs some 1,000 events.
    const pauseMs = random.chance(0.08) ? BEYOND_PATIENCE_MS : random.pick([3, 50, 400, 4000, 30_000]);
    return { kind: 'pause', atEvent, pauseMs };
  });
  return controls.sort((a, b) => a.atEvent - b.atEvent);
}

function workerOf(
  random: Random,
  { isNewcomer, isCalm, isSlow }: { isNewcomer: boolean; isCalm: boolean; isSlow: boolean },
): WorkerSchedule {
  const numFaults = isCalm ? 0 : random.pick([0, 0, 1, 1, 2, 3]);
  return {
    startMs: isNewcomer ? random.int(1, 2000) : random.int(1, 20),
    latencyMs: random.pick([0.1, 1, 5, 40, 150]),
    jitterMs: random.pick([0, 1, 10, 100]),
    sharesMemory: random.chance(0.3),
    computeMs: isSlow ? random.int(200, 900) : random.pick([1, 3, 10, 30]),
    evaluateMs: isSlow ? random.int(500, 5000) : random.pick([1, 10, 100]),
    faults: Array.from({ length: numFaults }, () => workerFaultOf(random)),
  };
}

function workerFaultOf(random: Random): WorkerFault {
  const atSend = random.int(3, random.pick([12, 40, 90]));
  const kind = random.pick([
    'die',
    'die',
    'vanish',
    'hang',
    'hang',
    'hang',
    'longHang',
    'cut',
    'cutPeers',
    'wrongOnce',
    'wrong',
  ] as const);
  switch (kind) {
    case 'die':
    case 'vanish':
      return { kind, atSend, ...(random.chance(0.7) && { replacedAfterMs: random.int(1, 1500) }) };
    case 'hang':
      return { kind, atSend, stopMs: random.pick([50, 250, 400, 550, 1200, HARMLESS_STOP_MS]) };
    case 'longHang':
      return { kind: 'hang', atSend, stopMs: random.int(2500, 20_000) };
    case 'cut':
    case 'cutPeers':
    case 'wrongOnce':
    case 'wrong':
      return { kind, atSend };
  }
}

function coordinatorFaultOf(random: Random): CoordinatorFault {
  const atEvent = random.int(1, random.pick([60, 300, 1000]));
  const kind = random.pick(['kill', 'kill', 'kill', 'hang', 'diskFull', 'interrupt'] as const);
  if (kind === 'diskFull' || kind === 'interrupt') return { kind, atEvent };
  if (kind === 'hang') return { kind, atEvent, stopMs: random.pick([100, 500, HARMLESS_STOP_MS, 8000]) };
  return { kind, atEvent, losesPower: random.chance(0.4), resumedAfterMs: random.int(1, 5000) };
}

/** Whether a worker is there to the end, whatever its faults, and computes what is right. */
const staysUseful = ({ faults }: WorkerSchedule): boolean =>
  faults.every((fault) =>
    fault.kind === 'die' || fault.kind === 'vanish' ? fault.replacedAfterMs !== undefined : fault.kind !== 'wrong',
  );

/** With one more that is well, where all others may be gone at some time: a run waits for a worker, but not for ever. */
function withSurvivor(workers: readonly WorkerSchedule[]): readonly WorkerSchedule[] {
  if (workers.some(staysUseful)) return workers;
  return [...workers, { ...workers[0]!, startMs: 3000, faults: [] }];
}

/**
 * With one wrong engine at most. One that is wrong for good is found where another's word stands against its own: in a star,
 * beside a worker that is well from the start. Everywhere else a run rightly ends when an average is twice not finite.
 * `numAwaited`: of those workers; 0 where no engine may be wrong for good.
 */
function withOneWrong(workers: readonly WorkerSchedule[], numAwaited: number): WorkerSchedule[] {
  let isFound = false;
  return workers.map((worker, index) => {
    const others = workers.slice(0, numAwaited).filter((_, i) => i !== index);
    const canBeWrong = others.length > 0 && others.every(({ faults }) => faults.length === 0);
    const faults = worker.faults.flatMap((fault): WorkerFault[] => {
      if (fault.kind !== 'wrong' && fault.kind !== 'wrongOnce') return [fault];
      if (isFound) return [];
      isFound = true;
      return [{ ...fault, kind: canBeWrong ? fault.kind : 'wrongOnce' }];
    });
    return { ...worker, faults };
  });
}

/** Simpler schedules of the same kind: each lacks something, or has less of it. The boldest come first. */
export function* simplerThan(schedule: Schedule): Generator<Schedule> {
  const { workers, coordinatorFaults, controls = [], numAwaited, microbatches, epochs } = schedule;
  for (const index of controls.keys()) yield { ...schedule, controls: without(controls, index) };
  for (const index of coordinatorFaults.keys()) {
    yield { ...schedule, coordinatorFaults: without(coordinatorFaults, index) };
  }
  for (const index of workers.keys()) {
    if (workers.length === 1) break;
    const left = Math.min(numAwaited, workers.length - 1);
    const fewer = withSurvivor(without(workers, index));
    if (fewer.length < workers.length) yield { ...schedule, workers: fewer, numAwaited: left };
  }
  for (const [index, worker] of workers.entries()) {
    for (const at of worker.faults.keys()) {
      yield withWorker(schedule, index, { ...worker, faults: without(worker.faults, at) });
    }
  }
  if (epochs > 1) yield { ...schedule, epochs: epochs - 1 };
  if (schedule.localSteps > 1) yield { ...schedule, localSteps: 1 };
  if (schedule.wire !== 'f32') yield { ...schedule, wire: 'f32' };
  if (schedule.checkpointEvery !== undefined) yield { ...schedule, checkpointEvery: undefined };
  if (schedule.numBuckets > 1) yield { ...schedule, numBuckets: 1 };
  if (microbatches > numAwaited) yield { ...schedule, microbatches: microbatches - 1 };
  for (const [index, worker] of workers.entries()) {
    const simple = { latencyMs: 1, jitterMs: 0, computeMs: 1, evaluateMs: 1, startMs: 1, sharesMemory: false } as const;
    for (const [name, value] of Object.entries(simple)) {
      const found = worker[name as keyof typeof simple];
      if (found !== value) yield withWorker(schedule, index, { ...worker, [name]: value });
    }
    for (const [at, fault] of worker.faults.entries()) {
      for (const atSend of [fault.atSend >> 1, fault.atSend - 1]) {
        if (atSend < 1 || atSend === fault.atSend) continue;
        const faults = worker.faults.map((one, i) => (i === at ? { ...one, atSend } : one));
        yield withWorker(schedule, index, { ...worker, faults });
      }
    }
  }
  for (const [at, fault] of coordinatorFaults.entries()) {
    for (const atEvent of sooner(fault.atEvent)) {
      yield { ...schedule, coordinatorFaults: coordinatorFaults.with(at, { ...fault, atEvent }) };
    }
  }
  for (const [at, control] of controls.entries()) {
    for (const atEvent of sooner(control.atEvent)) {
      yield { ...schedule, controls: controls.with(at, { ...control, atEvent }) };
    }
    if (control.kind === 'pause' && control.pauseMs > 1) {
      yield { ...schedule, controls: controls.with(at, { ...control, pauseMs: control.pauseMs >> 1 }) };
    }
  }
}

/** Earlier events: half as early, and one before. */
const sooner = (atEvent: number): number[] => [atEvent >> 1, atEvent - 1].filter((one) => one >= 1 && one !== atEvent);

const without = <T>(list: readonly T[], index: number): T[] => list.filter((_, i) => i !== index);

const withWorker = (schedule: Schedule, index: number, worker: WorkerSchedule): Schedule => ({
  ...schedule,
  workers: withSurvivor(schedule.workers.map((one, i) => (i === index ? worker : one))),
});
