/** A coordinator and workers in one process, over the in-memory transport, on a small model and made-up samples. */
import { createElasticRing } from '../../coordinator/all-reduce/ring/elastic-ring.ts';
import { createStar } from '../../coordinator/all-reduce/star/star.ts';
import { createFleet } from '../../coordinator/members/fleet.ts';
import type { Fleet } from '../../coordinator/members/fleet.ts';
import { createMembership } from '../../coordinator/members/membership.ts';
import { createPredictions } from '../../coordinator/predictions.ts';
import { confusionOf } from '../../coordinator/reporting/confusion.ts';
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import type { EpochRecord, Progress } from '../../coordinator/reporting/reporter.ts';
import type { OnReissue } from '../../coordinator/reporting/reported-event.ts';
import type { StepRecord } from '../../coordinator/reporting/step-record.ts';
import { createPauses } from '../../coordinator/pauses.ts';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { RunControl } from '../../coordinator/run-control.ts';
import { welcomeOf } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { synchronise } from '../../coordinator/members/fleet.ts';
import { train } from '../../coordinator/trainer.ts';
import { PLAIN_SGD } from './optimizers.ts';
import { IMAGE_BYTES } from './fashion-mnist.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { selectSplits } from '../../protocol/data/dataset.ts';
import type { Dataset, SampleSet } from '../../protocol/data/dataset.ts';
import { createExchange } from '../../protocol/state/exchange.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { WorkerIdentity } from '../../protocol/wire/authentication.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { loadDataset } from '../../worker/dataset.ts';
import type { Engine, EngineOptions } from '../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { createMemoryPeers } from './memory-peers.ts';

/** A dozen hidden units: quick in the reference engine, and with every part that replicas must keep equal. */
export const TINY_MODEL: ModelSpec = {
  name: 'tiny',
  input: [1, 28, 28],
  numClasses: 10,
  layers: [
    { kind: 'maxPool', size: 7 },
    { kind: 'flatten' },
    { kind: 'dense', units: 12, activation: 'relu' },
    { kind: 'batchNorm' },
    { kind: 'dense', units: 10, activation: 'none' },
  ],
};

/** 22,326 parameters: six buckets. */
export const WIDE_MODEL: ModelSpec = {
  ...TINY_MODEL,
  layers: TINY_MODEL.layers.flatMap((layer) => {
    if (layer.kind === 'maxPool') return [];
    return [layer.kind === 'dense' && layer.units === 12 ? { ...layer, units: 28 } : layer];
  }),
};

export function runConfig(changes: Partial<RunConfig> = {}): RunConfig {
  return {
    model: TINY_MODEL,
    workers: 1,
    epochs: 2,
    globalBatch: 32,
    microbatches: 4,
    accumulate: 1,
    localSteps: 1,
    seed: 7,
    optimizer: { ...PLAIN_SGD, momentum: 0.9 },
    schedule: { name: 'cosine', learningRate: 0.05, warmupSteps: 2, decayEpochs: 1, decayFactor: 0.5 },
    wire: 'f32',
    allReduce: 'star',
    shares: 'auto',
    joinTimeoutSeconds: 20,
    stepTimeoutSeconds: 20,
    ...changes,
  };
}

/** Samples whose class can be told from which of the sixteen 7x7 cells is bright. */
export function madeUpSamples(numSamples: number, seed: number): SampleSet {
  const random = uniformFloats(seed);
  const images = new Uint8Array(numSamples * IMAGE_BYTES);
  const labels = new Uint8Array(numSamples);
  for (let n = 0; n < numSamples; n++) {
    const label = Math.floor(random() * 10);
    labels[n] = label;
    for (let i = 0; i < IMAGE_BYTES; i++) {
      const cell = Math.floor(i / 28 / 7) * 4 + Math.floor((i % 28) / 7);
      const isBright = cell === label;
      images[n * IMAGE_BYTES + i] = Math.floor(random() * 100) + (isBright ? 155 : 0);
    }
  }
  return { images, labels, numSamples };
}

export const madeUpDataset = (numTrain = 150, numTest = 300): Dataset<SampleSet> => ({
  train: madeUpSamples(numTrain, 1),
  evaluation: madeUpSamples(numTest, 2),
});

/** A `tamper` that changes nothing and counts the payloads of what workers contribute. */
export function countGradientBytes() {
  let bytes = 0;
  return {
    bytes: () => bytes,
    tamper: (transport: Transport): Transport => ({
      ...transport,
      send(message) {
        if (message.kind === 'gradient') bytes += message.payload.length;
        transport.send(message);
      },
    }),
  };
}

export interface ClusterOptions {
  readonly config: RunConfig;
  readonly dataset?: Dataset;
  /** A canonical form that workers are sent, or find in the user's cache. Default: they are given `dataset`. */
  readonly served?: CanonicalDataset<SampleSet>;
  /** What a worker says of the dataset that it was sent. */
  readonly onDatasetLine?: (line: string) => void;
  /** The engine of worker `index`. Default: the reference engine. */
  readonly createEngine?: (options: EngineOptions, index: number) => Promise<Engine>;
  /** The worker's end of connection `index`, to be tampered with. */
  readonly tamper?: (transport: Transport, index: number) => Transport;
  /** How worker `index` reaches others, in a run with a ring. */
  readonly tamperPeers?: (peers: PeerSockets, index: number) => PeerSockets;
  /** Whether the first worker uses the coordinator's replica, as the baseline does. */
  readonly shareReplica?: boolean;
  /** How many buckets vectors are cut into. Default: one. */
  readonly numBuckets?: number;
  /** See `StarOptions`. */
  readonly lateMs?: number;
  readonly signal?: AbortSignal;
  readonly control?: RunControl;
  /** How long the run waits for a worker when none is left. Default: not at all. */
  readonly waitMs?: number;
  readonly say?: (line: string) => void;
  /**
   * Given a function that lets one more worker join, which resolves as its session ends; or the worker of connection
   * `returning` come back.
   */
  readonly onStart?: (join: (returning?: number) => Promise<string>) => void;
  readonly onProgress?: (progress: Progress) => void;
  readonly onStepRecord?: (record: StepRecord) => void;
  /** See `StarOptions` and `ElasticRingOptions`. */
  readonly onReissue?: OnReissue;
}

export interface ClusterOutcome {
  readonly status: 'completed' | 'interrupted';
  readonly replica: Replica;
  readonly epochs: EpochRecord[];
  /** Of each epoch. */
  readonly confusions: Confusion[];
  readonly pausedMs: number;
  /** How each worker's session ended: the coordinator's reason, or what it was rejected with. */
  readonly sessions: PromiseSettledResult<string>[];
}

/** Trains to the end; rejects as the training loop does, after every session has ended. */
export async function runCluster(options: ClusterOptions): Promise<ClusterOutcome> {
  const {
    config,
    served,
    dataset = served ? selectSplits(served.splits) : madeUpDataset(),
    createEngine = createReferenceEngine,
    signal = new AbortController().signal,
  } = options;
  const replica = createReplica(planModel(config.model), config.optimizer, config.seed);
  const welcome = welcomeOf(config, 'test', dataset);
  const membership = createMembership({
    welcome,
    ...(served && { dataset: { ...served, name: 'served' } }),
    log: () => {},
  });
  const sessions: Promise<string>[] = [];
  const identities: WorkerIdentity[] = [];
  const peers = config.allReduce === 'ring' ? createMemoryPeers() : undefined;
  const join = (returning?: number) => {
    const index = sessions.length;
    const [coordinatorEnd, workerEnd] = memoryTransportPair(['coordinator', `connection ${index}`]);
    void membership.admit(coordinatorEnd);
    const session = runWorkerSession(options.tamper?.(workerEnd, index) ?? workerEnd, {
      name: `worker-${returning ?? index}`,
      ...(returning !== undefined && { identity: identities[returning] }),
      onIdentity: (identity) => (identities[index] = identity),
      loadDataset: (welcome, transport) =>
        served
          ? loadDataset(welcome, transport, { places: [], log: (line) => options.onDatasetLine?.(line) })
          : Promise.resolve(dataset),
      createEngine: (engineOptions) => createEngine({ ...engineOptions, threads: 1 }, index),
      ...(options.shareReplica && { sharedReplica: replica }),
      ...(peers && { peers: options.tamperPeers?.(peers, index) ?? peers }),
    });
    sessions.push(session);
    session.catch(() => {});
    return session;
  };
  for (let i = 0; i < config.workers; i++) void join();
  options.onStart?.(join);
  const settled = () => Promise.allSettled(sessions);
  const epochs: EpochRecord[] = [];
  const confusions: Confusion[] = [];
  const { labels, numSamples: numEvaluationSamples } = dataset.evaluation;
  const predictions = createPredictions(numEvaluationSamples, config.model.numClasses);
  try {
    const members = await membership.waitForWorkers(config.workers, 20_000, signal);
    const fleet = createFleet(members, {
      replica,
      stepTimeoutMs: config.stepTimeoutSeconds * 1000,
      waitMs: options.waitMs ?? 0,
      maxMembers: config.microbatches,
      signal,
      say: (line) => options.say?.(line),
    });
    await synchronise(fleet, replica, 20_000);
    const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
    const makeStar = (serve?: Fleet['serve']) =>
      createStar(fleet, replica, {
        serve,
        stepTimeoutMs,
        wire: config.wire,
        exchange: createExchange(replica, config.localSteps, config.microbatches),
        ...(options.numBuckets !== undefined && { numBuckets: options.numBuckets }),
        ...(options.lateMs !== undefined && { lateMs: options.lateMs }),
        say: (line) => options.say?.(line),
        onReissue: options.onReissue,
      });
    const say = (line: string) => options.say?.(line);
    const allReduce = peers
      ? await createElasticRing({ fleet, replica, stepTimeoutMs, makeStar, say, onReissue: options.onReissue })
      : makeStar();
    membership.passNewcomers((member) => fleet.join(member));
    const { patienceMs } = welcome;
    const { control = createRunControl() } = options;
    const pauses = createPauses({ control, fleet, patienceMs, checkIn() {}, interruption: signal, signal });
    const status = await train({
      config,
      pauses,
      numTrainSamples: dataset.train.numSamples,
      numEvaluationSamples,
      predictions,
      fleet,
      allReduce,
      replica,
      signal,
      onProgress: (progress) => options.onProgress?.(progress),
      onStepRecord: options.onStepRecord,
      onEpoch: (record) => {
        epochs.push(record);
        const { epoch } = record;
        if (predictions) confusions.push(confusionOf({ epoch, split: 'test', labels, ...predictions }));
        return Promise.resolve();
      },
    });
    // As `trainWithWorkers` does.
    fleet.close();
    membership.dismiss('done');
    return { status, replica, epochs, confusions, pausedMs: pauses.pausedMs, sessions: await settled() };
  } finally {
    membership.dismiss('over');
    await settled();
  }
}
