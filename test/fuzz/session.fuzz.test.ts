/** A hostile coordinator: whatever it says, a worker's session goes on, or ends with an error that has a code. */
import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConfigError, ProtocolError } from '../../protocol/errors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import { MESSAGES } from '../../protocol/wire/messages.ts';
import type { Message, MessageOf } from '../../protocol/wire/messages.ts';
import { socketTransport } from '../../protocol/wire/socket-transport.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import { runWorkerSession } from '../../worker/session.ts';
import type { WorkerOptions } from '../../worker/session.ts';
import { madeUpDataset, runConfig, TINY_MODEL } from '../helpers/cluster.ts';
import { ALL_MESSAGES, SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { frameInputs, partsOf } from './frames.ts';
import { createTally, SCALE, SEED } from './settings.ts';

const NUM_RUNS = 1000 * SCALE;
/** What a session may take from the last message to its end, on a busy machine. */
const HANG_MS = 10_000;
/** How long the coordinators here may be silent. */
const PATIENCE_MS = 2;

const dataset = madeUpDataset(40, 60);
const { optimizer, seed } = runConfig();
const replica = createReplica(planModel(TINY_MODEL), optimizer, seed);

const WELCOME: MessageOf<'welcome'> = {
  ...SAMPLE_MESSAGES.welcome,
  model: TINY_MODEL,
  seed,
  optimizer,
  globalBatch: 8,
  numMicrobatches: 4,
  evaluationBatch: 16,
  wire: 'f32',
  numTrainSamples: 40,
  numTestSamples: 60,
  patienceMs: PATIENCE_MS,
};
const SNAPSHOT: MessageOf<'snapshot'> = {
  kind: 'snapshot',
  step: 0,
  parametersSha256: replica.parametersSha256(),
  payload: replica.state,
};
/** For a welcome with averages. */
const AVERAGING_SNAPSHOT: MessageOf<'snapshot'> = {
  ...SNAPSHOT,
  payload: createReplica(planModel(TINY_MODEL), { ...optimizer, emaDecay: 0.5 }, seed).state,
};
const assignment = { step: 1, epoch: 1, stepInEpoch: 0, firstMicrobatch: 0, numMicrobatches: 2, numBuckets: 1 };
/** As a run begins; each hostile sequence goes along with it for a while. */
const OPENING: Message[] = [WELCOME, SNAPSHOT, { kind: 'step', assignment }];

const worker: WorkerOptions = {
  name: 'worker',
  loadDataset({ numTrainSamples, numTestSamples, numValidationSamples }) {
    const { train, evaluation } = dataset;
    const numEvaluation = numValidationSamples ?? numTestSamples;
    if (numTrainSamples > train.numSamples || numEvaluation > evaluation.numSamples) {
      return Promise.reject(new ConfigError('more samples than there are'));
    }
    return Promise.resolve({
      train: { ...train, numSamples: numTrainSamples },
      evaluation: { ...evaluation, numSamples: numEvaluation },
    });
  },
  createEngine: () => {
    const resultOf = ({ numSamples }: { numSamples: number }) => ({ lossSum: numSamples, numCorrect: 0, numSamples });
    return Promise.resolve({
      name: 'stub',
      device: 'cpu',
      threads: 1,
      computeGradient: (batch, into) => {
        into.gradient.fill(0.01);
        into.statistics.fill(1);
        return Promise.resolve(resultOf(batch));
      },
      evaluate: (batch) => Promise.resolve(resultOf(batch)),
      dispose: () => Promise.resolve(),
    });
  },
};

/** How a session ended; throws for an error without a code, and when it does not end. */
async function outcomeOf(session: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a session hangs for ${HANG_MS} ms`)), HANG_MS);
  });
  try {
    await Promise.race([session, hang]);
    return 'dismissed';
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    if (error instanceof ConfigError) return 'ConfigError';
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Long enough for a session to answer what has arrived. */
async function answered(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

const extreme = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 5, 7, 8, 41, 1000, 2 ** 31, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER),
  fc.constantFrom(-1, 0.5, 1e-300, 1e300),
);

/** The value with one of the numbers in it, however deep, replaced. */
function withNumber(value: unknown, which: number, number: number): unknown {
  let left = which;
  const visit = (at: unknown): unknown => {
    if (typeof at === 'number') return left-- === 0 ? number : at;
    if (Array.isArray(at)) return at.map(visit);
    if (typeof at !== 'object' || at === null || ArrayBuffer.isView(at)) return at;
    return Object.fromEntries(Object.entries(at).map(([key, of]) => [key, visit(of)]));
  };
  return visit(value);
}

/** Whether the header is what its schema says. */
function isSound(message: Message): boolean {
  const header = Object.entries(message).filter(([key]) => key !== 'kind' && key !== 'payload');
  return MESSAGES[message.kind].header.safeParse(Object.fromEntries(header)).success;
}

/** An update or bucket that fits the model, at any step, so that what comes after a sound one is reached too. */
const average = new Uint8Array(4 * (replica.plan.numParameters + replica.plan.numBuffers));
const fitting: Message[] = [
  ...OPENING,
  { ...SAMPLE_MESSAGES.update, step: 1, payload: average, next: { ...assignment, step: 2, stepInEpoch: 1 } },
  { kind: 'update', step: 1, rates: SAMPLE_MESSAGES.update.rates, payload: average },
  { kind: 'averageBucket', step: 1, bucket: 0, payload: average },
  { kind: 'evaluate', epoch: 1, firstChunk: 0, numChunks: 2 },
  { kind: 'evaluate', epoch: 1, firstChunk: 0, numChunks: 2, predictions: true },
  { kind: 'ringStep', step: 1, numSamples: 8, rates: SAMPLE_MESSAGES.update.rates, assignment },
];

/** Messages that the schemas allow: other kinds, other moments, other numbers, other lengths. */
const hostileMessages: fc.Arbitrary<Message> = fc
  .tuple(
    fc.constantFrom(...fitting, ...fitting, ...ALL_MESSAGES.filter(({ kind }) => kind !== 'welcome')),
    fc.option(fc.tuple(fc.nat({ max: 12 }), extreme)),
    fc.option(fc.nat({ max: 5000 })),
  )
  .map(([message, change, length]) => {
    const changed = (change ? withNumber(message, ...change) : message) as Message;
    const type = MESSAGES[message.kind].payload;
    if (length === null || type === 'none') return changed;
    const payload = type === 'bytes' ? new Uint8Array(length) : new Float32Array(length);
    return { ...changed, payload } as Message;
  })
  .filter(isSound);

/** What a recipe adds to a welcome: sound values, and at their edges. */
const recipes = fc
  .record(
    {
      labelSmoothing: fc.constantFrom(0, 0.1, 0.999, 1, -0.1),
      augmentation: fc.record({
        flipProbability: fc.constantFrom(0, 0.5, 1, 2),
        shiftProbability: fc.constantFrom(0, 1),
        shiftPixels: fc.constantFrom(1, 27, 28),
        eraseProbability: fc.constantFrom(0, 1),
        erasePixels: fc.constantFrom(1, 28, 29, 2 ** 31),
      }),
      emaDecay: fc.constantFrom(0, 1e-300, 0.5, 1 - 2 ** -53, 1),
      emaEvery: fc.constantFrom(0, 1, 3, 2 ** 40, Number.MAX_SAFE_INTEGER),
    },
    { requiredKeys: [] },
  )
  .map(({ emaDecay, emaEvery, ...fields }) => ({
    ...fields,
    optimizer: {
      ...optimizer,
      ...(emaDecay !== undefined && { emaDecay }),
      ...(emaEvery !== undefined && { emaEvery }),
    },
  }));

const welcomes = fc
  .tuple(
    fc.array(
      fc.tuple(
        fc.constantFrom(
          'globalBatch',
          'numMicrobatches',
          'localSteps',
          'evaluationBatch',
          'numTrainSamples',
          'numTestSamples',
          'numValidationSamples',
          'seed',
        ),
        extreme,
      ),
      { maxLength: 2 },
    ),
    fc.constantFrom(...WIRE_FORMATS),
    fc.constantFrom(1, PATIENCE_MS, PATIENCE_MS, 2 ** 31 - 1, Number.MAX_SAFE_INTEGER),
    fc.constantFrom(
      ...[1, 10, 1_000_000].map((units) => ({
        ...TINY_MODEL,
        layers: [...TINY_MODEL.layers.slice(0, -1), { kind: 'dense' as const, units, activation: 'none' as const }],
      })),
    ),
    recipes,
  )
  .map(([changes, wire, patienceMs, model, recipe]): Message => ({
    ...WELCOME,
    ...recipe,
    wire,
    patienceMs,
    model,
    ...Object.fromEntries(changes),
  }))
  .filter(isSound);

test('a session survives any sequence of messages, or ends with a code', async () => {
  const tally = createTally();
  let numMessages = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: OPENING.length }),
      fc.option(welcomes, { freq: 2 }),
      fc.array(hostileMessages, { maxLength: 6 }),
      fc.constantFrom('shutdown', 'close', 'close', 'silence'),
      async (numOpening, welcome, messages, ending) => {
        const [coordinatorEnd, workerEnd] = memoryTransportPair();
        const hasAverages = welcome?.kind === 'welcome' && welcome.optimizer.emaDecay !== undefined;
        const snapshot = hasAverages ? AVERAGING_SNAPSHOT : SNAPSHOT;
        const opening = [welcome ?? WELCOME, snapshot, ...OPENING.slice(2)].slice(0, numOpening);
        const outcome = outcomeOf(runWorkerSession(workerEnd, worker));
        for (const message of [...opening, ...messages]) coordinatorEnd.send(message);
        numMessages += opening.length + messages.length;
        if (ending === 'shutdown') coordinatorEnd.send({ kind: 'shutdown', reason: 'over' });
        // Before a welcome, and where that grants days, the deadline is too far away to wait for.
        const isPatient = !opening.some((message) => message.kind === 'welcome' && message.patienceMs === PATIENCE_MS);
        const mayWait = ending === 'silence' && !isPatient;
        await answered();
        if (!mayWait) coordinatorEnd.close();
        tally.add(await outcome);
        coordinatorEnd.close();
      },
    ),
    { numRuns: NUM_RUNS, seed: SEED },
  );
  tally.print('sessions by messages', `  ${numMessages} messages`);
}, 300_000);

/** The worker's end of a connection without a network: `socket.emit('message', ...)` is what arrives. */
function pretendSocket() {
  const socket = Object.assign(new EventEmitter(), {
    bufferedAmount: 0,
    send() {},
    ping() {},
    pause() {},
    resume() {},
    terminate() {},
    close: (code: number) => void socket.emit('close', code, Buffer.alloc(0)),
  });
  return socket;
}

test('a session survives any bytes, or ends with a code', async () => {
  const tally = createTally();
  let numInputs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: OPENING.length }),
      fc.array(frameInputs, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (numOpening, inputs, isText) => {
        const socket = pretendSocket();
        const transport = socketTransport(socket, { cork() {}, uncork() {} }, 'coordinator');
        const outcome = outcomeOf(runWorkerSession(transport, worker));
        const arrive = (parts: readonly Uint8Array[]) => {
          for (const part of parts) socket.emit('message', Buffer.from(part), true);
        };
        arrive(OPENING.slice(0, numOpening).flatMap(partsOf));
        await answered();
        arrive(inputs.flatMap((input) => input.parts));
        if (isText) socket.emit('message', Buffer.from('text'), false);
        numInputs += inputs.length;
        await answered();
        socket.emit('close', 1006, Buffer.alloc(0));
        tally.add(await outcome);
      },
    ),
    { numRuns: NUM_RUNS, seed: SEED },
  );
  tally.print('sessions by bytes', `  ${numInputs} inputs`);
  expect(tally.total()).toBe(NUM_RUNS);
}, 300_000);
