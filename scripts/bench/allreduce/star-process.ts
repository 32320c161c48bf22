/**
 * A contender's process: star all-reduce as a run does it, over loopback, without engine, update and dataset. A round is
 * an update to every worker and a gradient back, summed in the fixed tree, averaged, and encoded again.
 *
 * This process is the coordinator; it starts its workers, which are this file too.
 */
import { createFleet } from '../../../coordinator/members/fleet.ts';
import { createStar } from '../../../coordinator/all-reduce/star/star.ts';
import { createMemoryPool, gradientsUnderWay } from '../../../coordinator/members/shared-memory.ts';
import type { ModelPlan } from '../../../protocol/state/model-spec.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { SharedMemoryOffer } from '../../../protocol/wire/shared-memory.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';
import { createAverageReader } from '../../../worker/step/average-reader.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { createGradientEncoder } from '../../../worker/step/gradient-encoder.ts';
import { joinMemory } from '../../../worker/connection/join-memory.ts';
import { keepFreedMemory } from '../../../worker/machine/memory.ts';
import { sharedMemorySystem } from '../../../worker/machine/shared-memory.ts';
import { fastestVectorMath } from '../../../worker/machine/vector-math.ts';
import { answerRequests } from '../common/contender-answers.ts';
import { fill, roundsOf, startPeers, STEP_TIMEOUT_MS } from './processes.ts';

export interface StarJob {
  readonly numFloats: number;
  readonly numWorkers: number;
  readonly wire: WireFormat;
  /** Whether payloads stay in this machine's memory, as between the workers of one machine; else they are sent. */
  readonly sharesMemory: boolean;
  /** Set for a worker. */
  readonly joinUrl?: string;
  readonly name?: string;
  readonly offer?: SharedMemoryOffer;
}

const job = JSON.parse(process.argv.at(-1)!) as StarJob;
const plan = { numParameters: job.numFloats, numBuffers: 0 } as ModelPlan;
const vectorMath = fastestVectorMath();
keepFreedMemory();

if (job.joinUrl === undefined) await answerRequests(() => coordinate(job));
else await work(job.joinUrl);
process.exit();

async function coordinate({ numWorkers, wire, sharesMemory }: StarJob) {
  const pool = createMemoryPool({
    system: sharesMemory ? sharedMemorySystem() : undefined,
    payloadBytes: createVectorCodec(wire, plan).payloadBytes,
    numGradients: gradientsUnderWay(numWorkers),
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const shared = Array.from({ length: numWorkers }, () => pool.offer());
  const members = await startPeers(shared.map((share) => ({ ...job, offer: share?.offer })));
  members.forEach(({ transport }, i) => {
    if (shared[i]) transport.shareMemory(shared[i].memories);
  });

  // No round asks for proofs of the replica: only its sizes are looked at.
  const replica = { plan } as Parameters<typeof createStar>[1];
  const fleet = createFleet(members, { replica, stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 0, maxMembers: numWorkers });
  const star = createStar(
    fleet,
    replica,
    // Nobody is late here.
    { stepTimeoutMs: STEP_TIMEOUT_MS, wire, allocateAverage: pool.allocateAverage, lateMs: STEP_TIMEOUT_MS },
    vectorMath,
  );
  return roundsOf(`star, ${wire}, ${sharesMemory ? 'shared memory' : 'sockets'}`, star, members);
}

/** Answers every update with a gradient that depends on it. */
async function work(joinUrl: string): Promise<void> {
  process.on('disconnect', () => process.exit());
  const transport = await connectToCoordinator(joinUrl, new AbortController().signal);
  const sharedMemory = sharedMemorySystem();
  const allocate = joinMemory(transport, job.offer, { sharedMemory, log: (line) => process.stderr.write(`${line}\n`) });
  if (job.sharesMemory && !allocate) throw new Error('memory cannot be shared');
  transport.send({ kind: 'hello', name: job.name! });
  const averages = createAverageReader(job.wire, plan, vectorMath);
  const encoder = createGradientEncoder(job.wire, plan, vectorMath, allocate);
  const filled = new WeakSet<Float32Array>();
  let first = 0;
  for (;;) {
    const message = await receiveKind(transport, 10 * LIMITS.prepareMs, 'step', 'averageBucket', 'update');
    if (message.kind === 'averageBucket') {
      averages.add(message.bucket, message.payload);
      transport.recycle(message.payload);
      continue;
    }
    const assignment = message.kind === 'step' ? message.assignment : message.next!;
    if (message.kind === 'step') {
      averages.expect(assignment.numBuckets);
    } else {
      first = 1 + averages.finish(message.payload)[0]! / 2;
      transport.recycle(message.payload);
      encoder.arrived();
    }
    const { step, firstMicrobatch, numMicrobatches, numBuckets } = assignment;
    const vector = encoder.take();
    if (!filled.has(vector)) fill(vector);
    filled.add(vector);
    vector[0] = first;
    const payloads = encoder.encode(vector, numBuckets);
    const payload = payloads.pop()!;
    const range = { firstMicrobatch, numMicrobatches };
    payloads.forEach((part, bucket) => {
      transport.send({ kind: 'gradientBucket', step, ...range, bucket, payload: part });
    });
    const microbatches = [{ lossSum: 1, numCorrect: 0, numSamples: 1 }];
    const times = { computeMs: 0, encodeMs: 0, applyMs: 0 };
    transport.send({ kind: 'gradient', step, ...range, microbatches, ...times, payload });
  }
}
