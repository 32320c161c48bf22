/**
 * Cluster: the simulated coordinator and workers of one schedule, with what happens to them. It watches for promises that
 * are broken on the way: a healthy worker that is lost, or that has lost its run.
 */
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import type { AllReduceKind } from '../../coordinator/run-config.ts';
import type { Membership } from '../../coordinator/members/membership.ts';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { RunControl } from '../../coordinator/run-control.ts';
import { StorageError } from '../../coordinator/run-directory/storage-error.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';
import { liveAsCoordinator, RUN_FOLDER } from './coordinator-process.ts';
import { createDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { createNetwork } from './network.ts';
import type { LinkProfile, Network } from './network.ts';
import { createRandom } from './random.ts';
import { configOf, DATASET } from './run-config.ts';
import { HARMLESS_STOP_MS } from './schedule.ts';
import type { ControlSchedule, CoordinatorFault, Schedule, WorkerFault, WorkerSchedule } from './schedule.ts';
import { liveAsWorker } from './worker-process.ts';
import type { SimEvent, SimProcess, World } from './world.ts';

/** A worker that lives, or has lived. */
export interface SimWorker {
  readonly name: string;
  readonly process: SimProcess;
  /** Something has happened to it that it may be lost for. */
  isExcused: boolean;
  /** Its engine computes nonsense, for good. */
  isWrong: boolean;
  /** How its life has ended, if it has. */
  outcome?: { readonly reason: string } | { readonly error: unknown };
}

interface SimCoordinator {
  readonly process: SimProcess;
  readonly interruption: AbortController;
  readonly control: RunControl;
  /** Who lets workers in, while it listens. */
  membership?: Membership | undefined;
}

export interface Cluster {
  readonly workers: readonly SimWorker[];
  readonly disk: Disk;
  /** The last one of each epoch that there was. */
  readonly confusions: ReadonlyMap<number, Confusion>;
  /** Those that processes were given: none may have a listener when all is over. */
  readonly signals: readonly AbortSignal[];
  /** The coordinator's, when the run is completed. */
  readonly trained: Replica | undefined;
  /** The run has failed as it should: its only worker computes nonsense, and there is no other to tell it from the model. */
  readonly hasRightlyFailed: boolean;
  /** The first promise that was broken. */
  readonly violation: string | undefined;
  /** Whether something has happened to the coordinator that its workers may complain of. */
  readonly isCoordinatorExcused: boolean;
  /** When a step, an epoch or the run's beginning was last reached. */
  readonly lastProgressMs: number;
}

/** Everything starts with the world's next events. `tell` is given what the program and the schedule say. */
export function createCluster(world: World, schedule: Schedule, tell: (who: string, line: string) => void): Cluster {
  const network = createNetwork(world, schedule.seed);
  const disk = createDisk(world, RUN_FOLDER);
  const config = configOf(schedule);
  const coordinatorFaults = [...schedule.coordinatorFaults];
  const controls = [...(schedule.controls ?? [])];
  const workers: SimWorker[] = [];
  const signals: AbortSignal[] = [];
  const confusions = new Map<number, Confusion>();
  const onSend = new Map<SimProcess, () => void>();
  const state = { isCoordinatorExcused: false, lastProgressMs: 0, hasRightlyFailed: false };
  /** Workers that the coordinator could ask for something. */
  const present = new Set<string>();
  let trained: Replica | undefined;
  let violation: string | undefined;
  let coordinator!: SimCoordinator;
  let begunWith: AllReduceKind | undefined;
  let numResumes = 0;
  /** Presses to come, which nobody waits for when the run is over. */
  const buttons: SimEvent[] = [];

  const violate = (what: string) => (violation ??= what);
  network.onSend = (process) => onSend.get(process)?.();
  const peersOf = createPeers(world, network);

  // The coordinator.

  const startCoordinator = (delayMs: number, isResumed: boolean) => {
    const process = world.createProcess(isResumed ? `coordinator${world.numEvents}` : 'coordinator');
    const started: SimCoordinator = { process, interruption: new AbortController(), control: createRunControl() };
    coordinator = started;
    signals.push(started.interruption.signal);
    process.beforeEvent = (numEvents) => {
      if (coordinatorFaults[0] && numEvents >= coordinatorFaults[0].atEvent) failAs(coordinatorFaults.shift()!);
      if (controls[0] && numEvents >= controls[0].atEvent) press(controls.shift()!, started);
    };
    started.control.onChange((state) => tell('coordinator', `control: ${state}`));
    world.schedule(process, delayMs, 'start', () => {
      state.lastProgressMs = world.nowMs;
      liveAsCoordinator({
        // When it is resumed some may be gone for good.
        config: isResumed ? { ...config, workers: 1 } : config,
        dataset: DATASET,
        numBuckets: schedule.numBuckets,
        checkpointEvery: schedule.checkpointEvery,
        isResumed,
        begunWith,
        onBegun: (kind) => (begunWith = kind),
        listen(membership) {
          started.membership = membership;
          return () => (started.membership = undefined);
        },
        say: hear,
        onConfusion: (confusion) => confusions.set(confusion.epoch, confusion),
        onProgress: () => (state.lastProgressMs = world.nowMs),
        control: started.control,
        signal: started.interruption.signal,
      }).then(
        ({ status, replica }) => {
          for (const button of buttons) button.isCancelled = true;
          if (status === 'completed') trained = replica;
          else resumeAll();
        },
        (error: unknown) => {
          // Before there was a step to end after.
          if (error === started.interruption.signal.reason) {
            resumeAll();
            return;
          }
          tell('coordinator', `failed: ${describeError(error)}`);
          if (error instanceof StorageError && disk.isFull) {
            disk.isFull = false;
            resumeAll();
          } else if (isWrongAlone(error)) {
            state.hasRightlyFailed = true;
            for (const worker of workers) worker.isExcused = true;
          } else {
            violate(`the run has failed: ${error instanceof ProtocolError ? describeError(error) : stackOf(error)}`);
          }
        },
      );
    });
  };

  /** Whether a run has diverged by the word of an engine that is wrong, as long as there was nobody else. */
  const isWrongAlone = (error: unknown): boolean => {
    const finder = /, as (\S+) found\. /.exec(describeError(error))?.[1];
    const worker = workers.find(({ name }) => name === finder);
    return worker?.isWrong === true && [...present].every((name) => name === finder);
  };

  /** As a user does: resumes the run, and starts workers, for those of before were told to end. */
  const resumeAll = () => {
    startCoordinator(1000, true);
    const marks = '"'.repeat(++numResumes);
    for (const [index, plan] of schedule.workers.entries()) {
      startWorker({ ...plan, faults: [] }, `worker-${index}${marks}`, 1000 + plan.startMs);
    }
  };

  /** A button of the dashboard: an event of its own, in the coordinator's process. */
  const press = (asked: ControlSchedule, { process, control }: SimCoordinator) => {
    tell('schedule', `control: ${JSON.stringify(asked)}`);
    if (asked.kind === 'stop') {
      // Workers may be about to join as it ends.
      state.isCoordinatorExcused = true;
      world.schedule(process, 0, 'stop', () => void control.stopAfterEpoch());
      return;
    }
    world.schedule(process, 0, 'pause', () => void control.pause());
    const resume = world.schedule(process, asked.pauseMs, 'resume', () => {
      state.lastProgressMs = world.nowMs;
      control.resume();
    });
    buttons.push(resume);
  };

  const failAs = (fault: CoordinatorFault) => {
    state.isCoordinatorExcused = true;
    tell('schedule', `coordinator: ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'hang':
        network.stop(coordinator.process, fault.stopMs);
        if (fault.stopMs > HARMLESS_STOP_MS) for (const worker of workers) worker.isExcused = true;
        break;
      case 'diskFull':
        disk.isFull = true;
        break;
      case 'interrupt':
        coordinator.interruption.abort(new Error('interrupted'));
        break;
      case 'kill':
        network.kill(coordinator.process, fault.losesPower);
        if (fault.losesPower) disk.losePower(createRandom(schedule.seed, 'power'));
        startCoordinator(fault.resumedAfterMs, true);
        break;
    }
  };

  /** Lines of the coordinator say whom it has lost. */
  const hear = (line: string) => {
    tell('coordinator', line);
    const name = /^lost worker (\S+)/.exec(line)?.[1] ?? /^(\S+) has not joined/.exec(line)?.[1];
    const came = /^(\S+) (?:is ready|\(\S+\) (?:takes part|stands by))/.exec(line)?.[1];
    const left = name ?? /^(\S+) \(\S+\) is late/.exec(line)?.[1];
    if (came !== undefined) present.add(came);
    if (left !== undefined) present.delete(left);
    const worker = workers.find((one) => one.name === name);
    if (worker && !worker.isExcused) violate(`a healthy worker is lost: ${line}`);
  };

  // The workers.

  const startWorker = (plan: WorkerSchedule, name: string, delayMs: number) => {
    const process = world.createProcess(name);
    const worker: SimWorker = { name, process, isExcused: false, isWrong: false };
    workers.push(worker);
    const { signal } = new AbortController();
    signals.push(signal);
    const engine = { isWrong: false, isWrongOnce: false };
    onSend.set(
      process,
      followFaults(plan.faults, (fault) => failWorkerAs(fault, worker, plan, engine)),
    );
    const { latencyMs, jitterMs } = plan;
    const link = { latencyMs, jitterMs, sharesMemory: plan.sharesMemory && schedule.allReduce === 'star' };
    const mayComplain = () => worker.isExcused || state.isCoordinatorExcused;
    world.schedule(process, delayMs, 'start', () => {
      liveAsWorker({
        name,
        dataset: DATASET,
        times: {
          computeMs: () => plan.computeMs,
          evaluateMs: () => plan.evaluateMs,
          isWrong() {
            const isWrong = engine.isWrong || engine.isWrongOnce;
            engine.isWrongOnce = false;
            return isWrong;
          },
        },
        connect: () => connectWorker(process, link),
        peers: peersOf(process, link),
        signal,
        warn(line) {
          tell(name, line);
          if (!mayComplain()) violate(`a healthy worker has lost the run: ${name}: ${line}`);
        },
      }).then(
        (reason) => (worker.outcome = { reason }),
        (error: unknown) => {
          worker.outcome = { error };
          tell(name, `ended: ${describeError(error)}`);
          if (!mayComplain() && !trained) violate(`a healthy worker has ended: ${name}: ${describeError(error)}`);
        },
      );
    });
  };

  const connectWorker = (process: SimProcess, link: LinkProfile): Transport | undefined => {
    const { membership, process: listening } = coordinator;
    if (!membership || listening.isDead) return undefined;
    const [own, other] = network.connect(process, listening, link);
    const admit = () => void membership.admit(other);
    world.schedule(listening, link.latencyMs, `connection of ${process.name}`, admit);
    return own;
  };

  const failWorkerAs = (
    fault: WorkerFault,
    worker: SimWorker,
    plan: WorkerSchedule,
    engine: { isWrong: boolean; isWrongOnce: boolean },
  ) => {
    const { name, process } = worker;
    tell('schedule', `${name}: ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'die':
      case 'vanish':
        worker.isExcused = true;
        network.kill(process, fault.kind === 'vanish');
        if (fault.replacedAfterMs === undefined) break;
        startWorker({ ...plan, faults: [] }, `${name}'`, fault.replacedAfterMs);
        break;
      case 'hang':
        worker.isExcused ||= fault.stopMs > HARMLESS_STOP_MS;
        network.stop(process, fault.stopMs);
        break;
      case 'cut':
        worker.isExcused = true;
        network.cut(process, coordinator.process);
        break;
      case 'cutPeers':
        for (const other of workers) if (other !== worker) network.cut(process, other.process);
        break;
      case 'wrong':
        worker.isExcused = true;
        worker.isWrong = true;
        engine.isWrong = true;
        break;
      case 'wrongOnce':
        engine.isWrongOnce = true;
        break;
    }
  };

  startCoordinator(0, false);
  schedule.workers.forEach((plan, index) => startWorker(plan, `worker-${index}`, plan.startMs));
  return {
    workers,
    disk,
    confusions,
    signals,
    get trained() {
      return trained;
    },
    get violation() {
      return violation;
    },
    get hasRightlyFailed() {
      return state.hasRightlyFailed;
    },
    get isCoordinatorExcused() {
      return state.isCoordinatorExcused;
    },
    get lastProgressMs() {
      return state.lastProgressMs;
    },
  };
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** A function to call at each message that a worker sends: it has those faults happen whose turn it is. */
function followFaults(faults: readonly WorkerFault[], happen: (fault: WorkerFault) => void): () => void {
  const inOrder = [...faults].sort((a, b) => a.atSend - b.atSend);
  let numSends = 0;
  return () => {
    numSends++;
    while (inOrder[0] && inOrder[0].atSend <= numSends) happen(inOrder.shift()!);
  };
}

/** How workers reach each other, in a ring. */
function createPeers(world: World, network: Network) {
  const listeners = new Map<string, { process: SimProcess; onConnection: (connection: Transport) => void }>();
  let numListeners = 0;
  return (process: SimProcess, link: LinkProfile): PeerSockets => ({
    listen(onConnection) {
      const url = `ws://${process.name}.simulated:${++numListeners}`;
      listeners.set(url, { process, onConnection });
      return Promise.resolve({ url, close: () => void listeners.delete(url) });
    },
    connect(url) {
      const found = listeners.get(url);
      if (!found || found.process.isDead) {
        return Promise.reject(new ProtocolError('ERR_CLOSED', `${url} does not answer`));
      }
      const [ahead, behind] = network.connect(process, found.process, link);
      const arrive = () => found.onConnection(behind);
      world.schedule(found.process, link.latencyMs, `connection of ${process.name}`, arrive);
      return Promise.resolve(ahead);
    },
  });
}
