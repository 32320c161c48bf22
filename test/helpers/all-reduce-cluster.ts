/**
 * A coordinator's all-reduce and real worker sessions over real sockets, with an engine whose gradients anyone can work
 * out: a function of the samples alone, so that the mean over any batch is known.
 */
import { onTestFinished } from 'vitest';
import type { AllReduceKind } from '../../coordinator/run-config.ts';
import { establishAllReduce } from '../../coordinator/all-reduce/establish.ts';
import { createFleet } from '../../coordinator/members/fleet.ts';
import { createMembership } from '../../coordinator/members/membership.ts';
import { stepSizesOf, welcomeOf } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { synchronise } from '../../coordinator/members/fleet.ts';
import { planStep } from '../../coordinator/step/step-plan.ts';
import { updateRates } from '../../protocol/vectors/optimizer.ts';
import { IMAGE_BYTES } from './fashion-mnist.ts';
import type { SampleSet } from '../../protocol/data/dataset.ts';
import { createExchange } from '../../protocol/state/exchange.ts';
import { allocateOwn } from '../../protocol/wire/shared-memory.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { ModelPlan, ModelSpec } from '../../protocol/state/model-spec.ts';
import { epochOrder } from '../../protocol/data/random.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { plainVectorMath } from '../../protocol/vectors/vector-math.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../worker/connection/client.ts';
import type { Engine, EngineOptions, Microbatch } from '../../worker/engines/engine.ts';
import { peerSockets } from '../../worker/connection/peer-server.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { madeUpDataset, runConfig } from './cluster.ts';
import { PLAIN_SGD } from './optimizers.ts';
import { never, startTestServer } from './sockets.ts';

/** Some 160,000 parameters: with two workers, more than one piece a chunk. */
const MODEL: ModelSpec = {
  name: 'wide',
  input: [1, 28, 28],
  numClasses: 10,
  layers: [
    { kind: 'flatten' },
    { kind: 'dense', units: 200, activation: 'none' },
    { kind: 'batchNorm' },
    { kind: 'dense', units: 10, activation: 'none' },
  ],
};

/** Entry i of a sample's gradient: between -1 and 1. */
const gradientOf = (image: Uint8Array, i: number): number =>
  (image[i % IMAGE_BYTES]! / 255 - 0.5) * (1 + (i % 7) / 7) * (i % 2 === 0 ? 1 : -1);

export interface Tampering {
  /** The engine of worker `index`, and its connection to the coordinator. */
  readonly engine?: (engine: Engine, index: number, transport: Transport) => Engine;
  readonly peers?: (peers: PeerSockets, index: number, transport: Transport) => PeerSockets | undefined;
  readonly ringObstacle?: string;
  readonly begunWith?: AllReduceKind;
}

/** Starts everything up to the all-reduce; ended with the test. */
export async function startAllReduce(changes: Partial<RunConfig>, numSamples: number, tampering: Tampering = {}) {
  const config = runConfig({
    model: MODEL,
    // What is applied is then the average itself.
    optimizer: PLAIN_SGD,
    schedule: { name: 'constant', learningRate: 1, warmupSteps: 0, decayEpochs: 1, decayFactor: 1 },
    ...changes,
  });
  const plan = planModel(config.model);
  const dataset = madeUpDataset(numSamples, 10);
  const replica = createReplica(plan, config.optimizer, config.seed);
  const membership = createMembership({ welcome: welcomeOf(config, 'test', dataset), log: () => {} });
  const server = await startTestServer((transport) => void membership.admit(transport));
  const states: Pick<EngineOptions, 'parameters' | 'buffers'>[] = [];
  const sessions = Array.from({ length: config.workers }, async (_, index) => {
    const transport = await connectToCoordinator(server.joinUrl, never());
    const sockets = peerSockets(transport.localAddress);
    const peers = tampering.peers ? tampering.peers(sockets, index, transport) : sockets;
    return runWorkerSession(transport, {
      name: `worker-${index}`,
      loadDataset: () => Promise.resolve(dataset),
      createEngine(options) {
        states.push(options);
        const engine = createKnownEngine(plan);
        return Promise.resolve(tampering.engine?.(engine, index, transport) ?? engine);
      },
      ...(peers && { peers }),
    });
  });
  const settled = Promise.allSettled(sessions);
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await settled;
    await server.close();
  });
  const members = await membership.waitForWorkers(config.workers, 20_000, never());
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const limits = { stepTimeoutMs: 20_000, waitMs: 0, maxMembers: config.microbatches };
  const fleet = createFleet(members, { replica, ...limits, say });
  await synchronise(fleet, replica, 20_000);
  const { microbatches, localSteps } = stepSizesOf(config);
  const exchange = createExchange(replica, localSteps, microbatches);
  const parties = { fleet, replica, exchange, allocateAverage: allocateOwn };
  const { ringObstacle, begunWith } = tampering;
  const how = { config, vectorMath: plainVectorMath, ringObstacle, begunWith, say };
  const { allReduce, kind } = await establishAllReduce({ ...parties, ...how });

  const ratesAt = (step: number) => updateRates(config.optimizer, 1, step);
  const sizes = { ...config, numTrainSamples: numSamples, ratesAt };
  return {
    allReduce,
    kind,
    members,
    fleet,
    replica,
    /** What each worker's engine sees of its replica. */
    states,
    said,
    planOf: (step: number) => planStep(step, fleet.members, sizes),
    /** The mean over the samples of a step, [gradient | statistics], in double precision. */
    meanOf: (step: number) => plainMean(dataset.train, plan, config, step),
  };
}

/** The gradient of `gradientOf`, statistics that are means of pixels, and counts that come from the labels. */
function createKnownEngine({ numParameters }: ModelPlan): Engine {
  const count = ({ labels, numSamples }: Microbatch) => {
    const used = labels.subarray(0, numSamples);
    return { lossSum: [...used].reduce((sum, label) => sum + label, 0), numCorrect: numSamples, numSamples };
  };
  return {
    name: 'known',
    device: 'cpu',
    threads: 1,
    computeGradient(batch, { gradient, statistics }) {
      gradient.fill(0);
      statistics.fill(0);
      for (let n = 0; n < batch.numSamples; n++) {
        const image = batch.images.subarray(n * IMAGE_BYTES, (n + 1) * IMAGE_BYTES);
        for (let i = 0; i < numParameters; i++) gradient[i]! += gradientOf(image, i);
        for (let i = 0; i < statistics.length; i++) statistics[i]! += image[i]! / 255 / batch.numSamples;
      }
      return Promise.resolve(count(batch));
    },
    evaluate: (batch) => Promise.resolve(count(batch)),
    dispose: () => Promise.resolve(),
  };
}

function plainMean(samples: SampleSet, plan: ModelPlan, { seed, globalBatch }: RunConfig, step: number) {
  const perEpoch = Math.ceil(samples.numSamples / globalBatch);
  const first = ((step - 1) % perEpoch) * globalBatch;
  const order = epochOrder(seed, Math.ceil(step / perEpoch), samples.numSamples).subarray(first, first + globalBatch);
  const gradient = new Float64Array(plan.numParameters);
  const statistics = new Float64Array(plan.numBuffers);
  for (const sample of order) {
    const image = samples.images.subarray(sample * IMAGE_BYTES, (sample + 1) * IMAGE_BYTES);
    for (let i = 0; i < gradient.length; i++) gradient[i]! += gradientOf(image, i) / order.length;
    for (let i = 0; i < statistics.length; i++) statistics[i]! += image[i]! / 255 / order.length;
  }
  return { gradient, statistics };
}
