/**
 * A worker's side of a run, over any transport: join, take a snapshot, then answer what comes until the run is over.
 *
 * It opens no sockets and reads no command line; `main.ts` does both. The protocol that it speaks is described in
 * `protocol/README.md`, message by message in `protocol/wire/messages.ts`.
 */
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import type { Dataset } from '../protocol/data/dataset.ts';
import { createExchange } from '../protocol/state/exchange.ts';
import type { Exchange } from '../protocol/state/exchange.ts';
import { planModel } from '../protocol/state/model-spec.ts';
import { createReplica } from '../protocol/state/replica.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { largestMicrobatch } from '../protocol/data/sharding.ts';
import { plainVectorMath } from '../protocol/vectors/vector-math.ts';
import type { VectorMath } from '../protocol/vectors/vector-math.ts';
import type { WorkerIdentity } from '../protocol/wire/authentication.ts';
import type { MessageOf, RunOutcome } from '../protocol/wire/messages.ts';
import { allocateOwn } from '../protocol/wire/shared-memory.ts';
import type { PayloadAllocator, SharedMemorySystem } from '../protocol/wire/shared-memory.ts';
import { receiveKind, RunEnded } from '../protocol/wire/transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';
import { createAverageReader } from './step/average-reader.ts';
import type { AverageReader } from './step/average-reader.ts';
import { createGradientContribution } from './step/contribution.ts';
import type { Contribution } from './step/contribution.ts';
import type { Engine, EngineOptions } from './engines/engine.ts';
import { createEvaluator } from './evaluation.ts';
import type { Evaluated } from './evaluation.ts';
import { createGradientTask } from './step/gradient-task.ts';
import type { GradientTask } from './step/gradient-task.ts';
import { joinRun } from './connection/join.ts';
import type { Greeted } from './connection/join.ts';
import { joinMemory } from './connection/join-memory.ts';
import { createLocalContribution } from './step/local-steps.ts';
import { createStepTrace } from './step/step-trace.ts';
import type { StepTrace } from './step/step-trace.ts';
import type { WorkerProgress } from './progress.ts';
import { createRingMember, isRingMessage, RING_MESSAGES } from './ring/member.ts';
import type { RingMember } from './ring/member.ts';
import type { PeerSockets } from './ring/set-up.ts';

export interface WorkerOptions {
  /** How people call this worker: "local-1". */
  readonly name: string;
  /** The run's: proved to the coordinator, and demanded of it. Default: a run without one is joined. */
  readonly token?: string | undefined;
  /** Where the coordinator has been greeted on this connection. */
  readonly greeted?: Greeted | undefined;
  /** Whom this worker was on a connection before, to be that one again. */
  readonly identity?: WorkerIdentity | undefined;
  /** Told whom it is on this one, if it is another. */
  readonly onIdentity?: (identity: WorkerIdentity) => void;
  /** Finds the samples of the run that was joined; may ask the coordinator for files. */
  loadDataset(welcome: MessageOf<'welcome'>, transport: Transport): Promise<Dataset>;
  /** Creates and probes the engine that the user chose. */
  createEngine(options: Omit<EngineOptions, 'threads' | 'device'>): Promise<Engine>;
  /** For sums and updates. Default: the plain one. */
  readonly vectorMath?: VectorMath;
  /** For payloads, where the coordinator offers it. */
  readonly sharedMemory?: SharedMemorySystem | undefined;
  /** Told what the user may want to know. */
  readonly log?: (line: string) => void;
  /** Follows the session for the user. */
  readonly progress?: WorkerProgress | undefined;
  /** Told how the run ended, where the coordinator says so. */
  readonly onOutcome?: ((outcome: RunOutcome) => void) | undefined;
  /** The coordinator's own replica, when it lives in this process: the coordinator applies the updates. */
  readonly sharedReplica?: Replica;
  /** Connections to other workers, for a ring; none in the coordinator's process. */
  readonly peers?: PeerSockets;
}

/**
 * Takes part in a run until the coordinator ends it; returns the reason it gave.
 *
 * The transport is closed on return. Rejects with `ProtocolError` when the connection or the protocol breaks, and with
 * `ConfigError` when this machine cannot do what was asked of it; the coordinator is told in both cases.
 */
export async function runWorkerSession(transport: Transport, options: WorkerOptions): Promise<string> {
  const { vectorMath = plainVectorMath } = options;
  let engine: Engine | undefined;
  let ring: RingMember | undefined;
  const end = ({ reason, outcome }: Pick<MessageOf<'shutdown'>, 'reason' | 'outcome'>) => {
    if (outcome) options.onOutcome?.(outcome);
    return reason;
  };
  try {
    const welcome = await joinRun(transport, options.name, options.token, options.identity, options.greeted);
    if (welcome.kind === 'shutdown') return end(welcome);
    if (welcome.returnKey !== undefined) options.onIdentity?.({ id: welcome.workerId, key: welcome.returnKey });
    const dataset = await options.loadDataset(welcome, transport);
    const plan = planModel(welcome.model);
    const makeReplica = () => createReplica(plan, welcome.optimizer, welcome.seed, vectorMath);
    const replica = options.sharedReplica ?? makeReplica();
    const { localSteps = 1 } = welcome;
    // Local steps must not touch the state that the replicas share.
    const workspace = localSteps > 1 ? makeReplica() : replica;
    engine = await options.createEngine({
      plan,
      parameters: workspace.parameters,
      buffers: workspace.buffers,
      labelSmoothing: welcome.labelSmoothing,
      maxBatch: Math.max(largestMicrobatch(welcome), welcome.evaluationBatch),
    });
    const allocate = joinMemory(transport, welcome.sharedMemory, options);
    const { name, device, threads } = engine;
    transport.send({ kind: 'ready', engine: name, device, threads, sharesMemory: allocate !== undefined });
    options.progress?.joined(welcome);

    const ownsReplica = !options.sharedReplica;
    const exchange = createExchange(replica, localSteps, welcome.numMicrobatches);
    const averages = createAverageReader(welcome.wire, exchange.layout, vectorMath);
    const parts = { transport, welcome, dataset, replica, workspace, engine, vectorMath, exchange };
    const contribution = localSteps > 1 ? createLocalContribution(parts) : createGradientContribution(parts);
    // What fails beside the reading ends the connection, and with it the reading.
    const onError = (error: unknown) => transport.close(asProtocolError(error));
    const trace = welcome.trace && createStepTrace(welcome.trace);
    ring = createRingMember({ ...parts, contribution, peers: options.peers, onError, trace });
    const memory = { averages, allocate: allocate ?? allocateOwn };
    const { progress } = options;
    const work = { contribution, evaluateChunks: createEvaluator(parts), ring };
    return end(await answerUntilShutdown({ ...parts, ...memory, ...work, ownsReplica, progress, trace }));
  } catch (error) {
    const told = asProtocolError(error);
    const lastWord = told.code === 'ERR_CLOSED' ? await findShutdown(transport) : undefined;
    if (lastWord !== undefined) return end(lastWord);
    if (error instanceof RunEnded && error.outcome) options.onOutcome?.(error.outcome);
    transport.close(told);
    // Also what a coordinator's numbers led to, such as memory that nobody has, is told by a code.
    throw error instanceof ConfigError ? error : told;
  } finally {
    await ring?.close();
    transport.close();
    await engine?.dispose();
  }
}

/**
 * A `shutdown` that has arrived and was not read yet: this worker was computing, and finds the connection
 * closed when it sends. The run is then over, not lost.
 */
async function findShutdown(transport: Transport): Promise<MessageOf<'shutdown'> | undefined> {
  try {
    for (;;) {
      const message = await transport.receive(0, 'shutdown');
      if (message.kind === 'shutdown') return message;
    }
  } catch {
    return undefined;
  }
}

interface SessionContext {
  readonly transport: Transport;
  readonly welcome: MessageOf<'welcome'>;
  readonly dataset: Dataset;
  readonly replica: Replica;
  /** What the engine was created on: the replica, or with local steps a copy of it to take them on. */
  readonly workspace: Replica;
  readonly engine: Engine;
  readonly exchange: Exchange;
  readonly vectorMath: VectorMath;
  readonly ownsReplica: boolean;
  readonly averages: AverageReader;
  readonly allocate: PayloadAllocator;
  readonly contribution: Contribution;
  readonly evaluateChunks: (request: MessageOf<'evaluate'>) => Promise<Evaluated>;
  readonly ring: RingMember;
  readonly progress: WorkerProgress | undefined;
  /** In a run that is traced. */
  readonly trace: StepTrace | undefined;
}

async function answerUntilShutdown(context: SessionContext): Promise<MessageOf<'shutdown'>> {
  const { transport, welcome, ring, progress, trace } = context;
  const task = createGradientTask(context);
  for (;;) {
    const message = await receiveKind(
      transport,
      welcome.patienceMs,
      ...([
        'snapshot',
        'step',
        'averageBucket',
        'update',
        'evaluate',
        'standBy',
        'hold',
        'shutdown',
        ...RING_MESSAGES,
      ] as const),
    );
    // That it came is all that it says.
    if (message.kind === 'hold') continue;
    trace?.received();
    // A ring's step goes on beside the reading: only the end of the run, or of the ring, overtakes it.
    const overtakes = message.kind === 'shutdown' || message.kind === 'snapshot' || isRingMessage(message);
    if (ring.underWay && !overtakes) await ring.underWay;
    switch (message.kind) {
      case 'snapshot':
        // Sent to a worker that was set aside, too: it has no part in the ring any more.
        await ring.close();
        task.forget();
        takeSnapshot(context, message);
        break;
      case 'standBy':
        progress?.standsBy(message.reason);
        break;
      case 'step':
        progress?.assigned(message.assignment);
        context.averages.expect(message.assignment.numBuckets);
        await task.compute(message.assignment, 0);
        break;
      case 'averageBucket':
        takeBucket(context, message);
        task.averagesArrived(message.bucket + 1);
        break;
      case 'update':
        await applyUpdate(context, task, message);
        break;
      case 'evaluate':
        await evaluate(context, message);
        break;
      case 'shutdown':
        return message;
      case 'ringStep':
        if (message.assignment) progress?.assigned(message.assignment);
        await ring.answer(message);
        break;
      case 'ringPrepare':
      case 'ringConnect':
      case 'ringProve':
      case 'ringClose':
        await ring.answer(message);
        break;
    }
  }
}

function takeSnapshot(context: SessionContext, message: MessageOf<'snapshot'>): void {
  const { transport, replica, ownsReplica, averages } = context;
  const startMs = performance.now();
  if (ownsReplica) replica.restore(message.payload, message.step);
  averages.expect(message.numBuckets ?? 1);
  const hash = timedHash(replica);
  if (hash.parametersSha256 !== message.parametersSha256) {
    throw new ProtocolError('ERR_STATE_MISMATCH', `the snapshot of step ${message.step} does not have its hash`);
  }
  const applyMs = performance.now() - startMs - hash.hashMs;
  transport.send({ kind: 'applied', step: message.step, applyMs, ...hash });
}

/** A bucket of the average of the step after the replica's. */
function takeBucket(
  { transport, replica, averages, ownsReplica }: SessionContext,
  message: MessageOf<'averageBucket'>,
): void {
  const { step, bucket, payload } = message;
  if (ownsReplica && step !== replica.step + 1) {
    const text = `a bucket of step ${step}'s average, expected step ${replica.step + 1}`;
    throw new ProtocolError('ERR_STATE_MISMATCH', text, { step });
  }
  averages.add(bucket, payload);
  transport.recycle(payload);
}

/** Applies an update and goes on with the next assignment, or proves the state that it led to. */
async function applyUpdate(context: SessionContext, task: GradientTask, update: MessageOf<'update'>): Promise<void> {
  const { transport, replica, ownsReplica, averages, exchange, trace } = context;
  const { step, numSteps = 1, rates, next, payload } = update;
  const startMs = performance.now();
  const average = averages.finish(payload);
  if (ownsReplica) exchange.apply(average, { step, numSteps, rates });
  const applyMs = performance.now() - startMs;
  trace?.applied(startMs, startMs + applyMs);
  transport.recycle(payload);
  task.gradientsArrived();
  if (next) {
    context.progress?.assigned(next);
    averages.expect(next.numBuckets);
    await task.compute(next, applyMs);
  } else {
    const moments = trace?.prove();
    moments?.begin();
    const hash = timedHash(replica);
    moments?.end('hashed');
    const timed = moments && { moments: moments.take() };
    transport.send({ kind: 'applied', step: step + numSteps - 1, applyMs, ...hash, ...timed });
  }
}

async function evaluate({ transport, evaluateChunks }: SessionContext, request: MessageOf<'evaluate'>): Promise<void> {
  const startMs = performance.now();
  const evaluated = await evaluateChunks(request);
  const computeMs = performance.now() - startMs;
  transport.send({ kind: 'evaluation', epoch: request.epoch, ...evaluated, computeMs });
}

function timedHash(replica: Replica): { parametersSha256: string; hashMs: number } {
  const startMs = performance.now();
  const parametersSha256 = replica.parametersSha256();
  return { parametersSha256, hashMs: performance.now() - startMs };
}

/** What the coordinator is told of an error on this side. */
function asProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const code = error instanceof ConfigError ? 'ERR_CONFIG' : 'ERR_ENGINE';
  return new ProtocolError(code, describeError(error), { cause: error });
}
