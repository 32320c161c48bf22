/**
 * Simulates one schedule: a coordinator, its workers, their network and a disk, in virtual time, and checks all the time
 * what the program promises:
 *
 * - the run ends, and each of its steps does within a bounded time;
 * - no healthy worker is lost, and none of them ends with an error;
 * - each epoch is recorded once, with every sample counted once;
 * - the parameters have the bits of an undisturbed run where equal bits are promised;
 * - when the run is over, nothing is left that waits.
 */
import { getEventListeners } from 'node:events';
import type { AllReduceKind } from '../../coordinator/all-reduce/choose.ts';
import type { Membership } from '../../coordinator/membership.ts';
import type { EpochRecord } from '../../coordinator/reporters/reporter.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { StorageError } from '../../coordinator/storage-error.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';
import { liveAsCoordinator, RECORDS, RUN_FOLDER } from './coordinator-process.ts';
import { createDisk } from './disk.ts';
import { expectedLoss, numberedDataset } from './engine.ts';
import { createNetwork } from './network.ts';
import { createRandom } from './random.ts';
import { HARMLESS_STOP_MS } from './schedule.ts';
import type { Schedule, WorkerSchedule } from './schedule.ts';
import { useVirtualTime } from './virtual-time.ts';
import { liveAsWorker } from './worker-process.ts';
import { createWorld, describeEvent } from './world.ts';
import type { SimProcess } from './world.ts';

export interface SimulationResult {
  /** What was not as promised; undefined when all was. */
  readonly violation?: string | undefined;
  /** What the coordinator and the workers told their users, with the virtual time. */
  readonly said: readonly string[];
  readonly numEvents: number;
  readonly virtualMs: number;
  /** Of the final state; undefined in a run that did not end. */
  readonly parametersSha256?: string | undefined;
  /** A parameter whose gradient is 1 in every step. */
  readonly counter?: number | undefined;
}

const NUM_TRAIN = 40;
const NUM_TEST = 600;
const GLOBAL_BATCH = 12;
const DATASET = numberedDataset(NUM_TRAIN, NUM_TEST);
const STEP_TIMEOUT_S = 20;
/** What a step, a checkpoint or an evaluation may take: several deadlines one after the other, and more for each fault. */
const BOUND_MS = 60_000;
const BOUND_PER_FAULT_MS = 45_000;
/** After the run: workers that have lost it wait for a coordinator for a minute, newcomers for ten. */
const AFTERWARDS_MS = 15 * 60_000;

const modelOf = (numBuckets: number): ModelSpec => ({
  name: 'simulated',
  input: [1, 28, 28],
  numClasses: 10,
  layers: [
    ...(numBuckets > 1 ? [] : [{ kind: 'maxPool', size: 14 } as const]),
    { kind: 'flatten' },
    { kind: 'dense', units: numBuckets > 1 ? 16 : 4, activation: 'relu' },
    { kind: 'batchNorm' },
    { kind: 'dense', units: 10, activation: 'none' },
  ],
});

function configOf(schedule: Schedule): RunConfig {
  const { numBuckets, microbatches, localSteps, epochs, wire, allReduce, numAwaited } = schedule;
  return {
    model: modelOf(numBuckets),
    workers: numAwaited,
    epochs,
    globalBatch: GLOBAL_BATCH,
    microbatches,
    accumulate: 1,
    localSteps,
    seed: 7,
    optimizer: { ...PLAIN_SGD, momentum: 0.5 },
    schedule: { name: 'constant', learningRate: 0.125, warmupSteps: 0, decayEpochs: 1, decayFactor: 1 },
    wire,
    allReduce,
    shares: 'auto',
    joinTimeoutSeconds: 600,
    stepTimeoutSeconds: STEP_TIMEOUT_S,
  };
}

/** A worker that lives, or has lived. */
interface SimWorker {
  readonly name: string;
  readonly process: SimProcess;
  numSends: number;
  /** Something has happened to it that it may be lost for. */
  isExcused: boolean;
  outcome?: { readonly reason: string } | { readonly error: unknown };
}

interface SimCoordinator {
  readonly process: SimProcess;
  readonly interruption: AbortController;
  membership?: Membership | undefined;
}

/** Carries a schedule out. Never rejects. `onHistory` is told every event, one line each. */
export async function simulate(schedule: Schedule, onHistory?: (line: string) => void): Promise<SimulationResult> {
  const world = createWorld();
  useVirtualTime(world);
  if (onHistory) world.onEvent = (event) => onHistory(describeEvent(event));
  const network = createNetwork(world, schedule.seed);
  const disk = createDisk(world, RUN_FOLDER);
  const config = configOf(schedule);
  const said: string[] = [];
  const workers: SimWorker[] = [];
  const coordinatorFaults = [...schedule.coordinatorFaults];
  const numFaults = coordinatorFaults.length + schedule.workers.reduce((sum, { faults }) => sum + faults.length, 0);
  const boundMs = BOUND_MS + BOUND_PER_FAULT_MS * numFaults;
  let violation: string | undefined;
  let coordinator!: SimCoordinator;
  let begunWith: AllReduceKind | undefined;
  let replica: Replica | undefined;
  let lastProgressMs = 0;
  /** Something has happened to the coordinator that its workers may complain of. */
  let isCoordinatorExcused = false;
  const signals: AbortSignal[] = [];

  const violate = (what: string) => (violation ??= what);
  const tell = (who: string, line: string) => said.push(`${world.nowMs.toFixed(0).padStart(7)} ${who}: ${line}`);

  // The coordinator.
  const startCoordinator = (delayMs: number, isResumed: boolean) => {
    const process = world.createProcess(isResumed ? `coordinator${world.numEvents}` : 'coordinator');
    const interruption = new AbortController();
    const { signal } = interruption;
    signals.push(signal);
    const started: SimCoordinator = { process, interruption };
    coordinator = started;
    process.beforeEvent = (numEvents) => {
      const fault = coordinatorFaults[0];
      if (fault && numEvents >= fault.atEvent) {
        coordinatorFaults.shift();
        haveCoordinatorFail(fault);
      }
    };
    world.schedule(process, delayMs, 'start', () => {
      lastProgressMs = world.nowMs;
      const life = liveAsCoordinator({
        // Some may be gone for good.
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
        say: (line) => hear(line),
        onProgress: () => (lastProgressMs = world.nowMs),
        signal,
      });
      life.then(
        ({ status, replica: trained }) => {
          if (status === 'completed') replica = trained;
          else resumeAll();
        },
        (error: unknown) => {
          if (process.isDead) return;
          tell('coordinator', `failed: ${describeError(error)}`);
          if (error instanceof StorageError && isCoordinatorExcused) {
            disk.isFull = false;
            resumeAll();
          } else {
            violate(
              `the run has failed: ${error instanceof ProtocolError ? error.code : 'internal'}: ${String((error as Error).stack)}`,
            );
          }
        },
      );
    });
  };

  /** As a user does: resumes the run, and starts workers, for those of before were told to end. */
  const resumeAll = () => {
    startCoordinator(1000, true);
    for (const [index, plan] of schedule.workers.entries()) {
      startWorker({ ...plan, faults: [] }, `worker-${index}"`, 1000 + plan.startMs);
    }
  };

  const haveCoordinatorFail = (fault: Schedule['coordinatorFaults'][number]) => {
    isCoordinatorExcused = true;
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
    const worker = workers.find((one) => one.name === name);
    if (worker && !worker.isExcused) violate(`a healthy worker is lost: ${line}`);
  };

  // The workers.
  const startWorker = (plan: WorkerSchedule, name: string, delayMs: number) => {
    const process = world.createProcess(name);
    const worker: SimWorker = { name, process, numSends: 0, isExcused: false };
    workers.push(worker);
    const faults = [...plan.faults].sort((a, b) => a.atSend - b.atSend);
    const { signal } = new AbortController();
    signals.push(signal);
    let isWrongOnce = false;
    let isWrong = false;
    triggers.set(process, () => {
      worker.numSends++;
      while (faults[0] && faults[0].atSend <= worker.numSends) {
        const fault = faults.shift()!;
        tell('schedule', `${name}: ${JSON.stringify(fault)}`);
        switch (fault.kind) {
          case 'die':
          case 'vanish':
            worker.isExcused = true;
            network.kill(process, fault.kind === 'vanish');
            if (fault.replacedAfterMs !== undefined)
              startWorker({ ...plan, faults: [] }, `${name}'`, fault.replacedAfterMs);
            return;
          case 'hang':
            if (fault.stopMs > HARMLESS_STOP_MS) worker.isExcused = true;
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
            isWrong = true;
            break;
          case 'wrongOnce':
            isWrongOnce = true;
            break;
        }
      }
    });
    const { latencyMs, jitterMs, sharesMemory, computeMs, evaluateMs } = plan;
    const link = { latencyMs, jitterMs, sharesMemory: sharesMemory && schedule.allReduce === 'star' };
    const connect = (): Transport | undefined => {
      const { membership, process: ofCoordinator } = coordinator;
      if (!membership || ofCoordinator.isDead) return undefined;
      const [own, other] = network.connect(process, ofCoordinator, link);
      world.schedule(ofCoordinator, latencyMs, `connection of ${name}`, () => void membership.admit(other));
      return own;
    };
    world.schedule(process, delayMs, 'start', () => {
      const life = liveAsWorker({
        name,
        dataset: DATASET,
        times: {
          computeMs: () => computeMs,
          evaluateMs: () => evaluateMs,
          isWrong() {
            const wrong = isWrong || isWrongOnce;
            isWrongOnce = false;
            return wrong;
          },
        },
        connect,
        peers: peersOf(process, link),
        signal,
        warn(line) {
          tell(name, line);
          if (!worker.isExcused && !isCoordinatorExcused)
            violate(`a healthy worker has lost the run: ${name}: ${line}`);
        },
      });
      life.then(
        (reason) => (worker.outcome = { reason }),
        (error: unknown) => {
          worker.outcome = { error };
          if (process.isDead) return;
          tell(name, `ended: ${describeError(error)}`);
          if (!worker.isExcused && !isCoordinatorExcused && !replica) {
            violate(`a healthy worker has ended: ${name}: ${describeError(error)}`);
          }
        },
      );
    });
  };
  const triggers = new Map<SimProcess, (message: Message) => void>();
  network.onSend = (process, message) => triggers.get(process)?.(message);

  const listeners = new Map<string, { process: SimProcess; onConnection: (connection: Transport) => void }>();
  let numListeners = 0;
  const peersOf = (process: SimProcess, link: Parameters<typeof network.connect>[2]): PeerSockets => ({
    listen(onConnection) {
      const url = `ws://${process.name}.simulated:${++numListeners}`;
      listeners.set(url, { process, onConnection });
      return Promise.resolve({ url, close: () => void listeners.delete(url) });
    },
    connect(url) {
      const found = listeners.get(url);
      if (!found || found.process.isDead)
        return Promise.reject(new ProtocolError('ERR_CLOSED', `${url} does not answer`));
      const [ahead, behind] = network.connect(process, found.process, link);
      world.schedule(found.process, link.latencyMs, `connection of ${process.name}`, () => found.onConnection(behind));
      return Promise.resolve(ahead);
    },
  });

  startCoordinator(0, false);
  schedule.workers.forEach((plan, index) => startWorker(plan, `worker-${index}`, plan.startMs));
  const isStuck = () => world.nowMs - lastProgressMs > boundMs;
  const ended = await world.run(() => replica !== undefined || violation !== undefined || isStuck(), Infinity);
  const lostAtMs = world.nowMs;
  if (!violation && !replica) {
    violate(ended === 'idle' ? 'nothing happens any more' : `no step ended within ${boundMs / 1000} s`);
  }
  if (!violation) {
    const left = await world.run(() => violation !== undefined, lostAtMs + AFTERWARDS_MS);
    if (left === 'limit') {
      const [timer] = world.pendingTimers();
      violate(`after the run something still happens: ${timer ? `a timer of ${timer.owner.name}` : 'messages'}`);
    }
  }
  if (!violation) checkOutcome();
  useVirtualTime(undefined);
  if (!violation) await checkBits();

  function checkOutcome(): void {
    const records = (disk.readText(RECORDS) ?? '').trimEnd().split('\n');
    const epochs = records.map((line) => JSON.parse(line) as EpochRecord);
    if (epochs.map(({ epoch }) => epoch).join() !== Array.from({ length: config.epochs }, (_, i) => i + 1).join()) {
      violate(`records of epochs ${epochs.map(({ epoch }) => epoch).join()}, expected 1 to ${config.epochs}`);
    }
    for (const { epoch, samples, loss, testLoss } of epochs) {
      if (samples !== NUM_TRAIN) violate(`epoch ${epoch} has ${samples} samples, expected ${NUM_TRAIN}`);
      if (loss !== expectedLoss(NUM_TRAIN)) violate(`epoch ${epoch}: loss ${loss}: not every sample counted once`);
      if (testLoss !== expectedLoss(NUM_TEST))
        violate(`epoch ${epoch}: test loss ${testLoss}, expected ${expectedLoss(NUM_TEST)}`);
    }
    for (const { name, process, outcome, isExcused } of workers) {
      if (process.isDead) continue;
      if (!outcome) violate(`${name} still waits for something after the run`);
      else if ('error' in outcome && !isExcused && !isCoordinatorExcused && !isLatecomer(outcome.error)) {
        violate(`${name} ended with ${describeError(outcome.error)}`);
      }
    }
    const numListening = signals.reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0);
    const deadOnes = workers.some(({ process }) => process.isDead) || isCoordinatorExcused;
    if (numListening > 0 && !deadOnes) violate(`${numListening} listeners are left at signals`);
  }

  /** The state, as far as it is promised; compared with that of a run in which nothing goes wrong. */
  async function checkBits(): Promise<void> {
    const quiet = await undisturbed(schedule);
    if (!quiet || !replica) return;
    const isExact = schedule.allReduce === 'star' && schedule.wire === 'f32';
    if (isExact && quiet.parametersSha256 !== replica.parametersSha256()) violate('the parameters have other bits');
    // int8 rounds it, and local steps send its change.
    const keepsCounter = schedule.wire !== 'int8' && (schedule.wire === 'f32' || schedule.localSteps === 1);
    if (keepsCounter && quiet.counter !== replica.parameters[0])
      violate('some sample did not count once in a gradient');
  }

  return {
    violation,
    said,
    numEvents: world.numEvents,
    virtualMs: world.nowMs,
    parametersSha256: replica?.parametersSha256(),
    counter: replica?.parameters[0],
  };
}

const quietResults = new Map<string, Promise<SimulationResult>>();

/** The result of the same run on one worker with which nothing is wrong; undefined for that run itself. */
function undisturbed(schedule: Schedule): Promise<SimulationResult> | undefined {
  const { numBuckets, microbatches, localSteps, epochs } = schedule;
  const [worker] = schedule.workers;
  const quiet: Schedule = {
    seed: 0,
    allReduce: 'star',
    wire: 'f32',
    numBuckets,
    microbatches,
    localSteps,
    epochs,
    checkpointEvery: undefined,
    numAwaited: 1,
    workers: [
      {
        ...worker!,
        startMs: 1,
        latencyMs: 1,
        jitterMs: 0,
        computeMs: 1,
        evaluateMs: 1,
        sharesMemory: false,
        faults: [],
      },
    ],
    coordinatorFaults: [],
  };
  const key = JSON.stringify(quiet);
  if (JSON.stringify(schedule) === key) return undefined;
  const result = quietResults.get(key) ?? simulate(quiet);
  quietResults.set(key, result);
  return result;
}

/** It started when the run was over, or joined as it ended. */
const isLatecomer = (error: unknown): boolean =>
  error instanceof ProtocolError && (error.code === 'ERR_CLOSED' || error.code === 'ERR_RUN_FULL');
