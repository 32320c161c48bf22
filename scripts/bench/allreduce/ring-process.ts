/**
 * A contender's process: ring all-reduce as a run does it, over loopback, without engine, update and dataset. A round is
 * the coordinator's word to every worker, the exchange among them, and what each tells of it.
 *
 * This process is the coordinator; it starts its workers, which are this file too.
 */
import { createElasticRing } from '../../../coordinator/all-reduce/ring/elastic-ring.ts';
import { createFleet } from '../../../coordinator/members/fleet.ts';
import type { ProtocolError } from '../../../protocol/errors.ts';
import type { Exchange } from '../../../protocol/state/exchange.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import type { Contribution } from '../../../worker/step/contribution.ts';
import { keepFreedMemory } from '../../../worker/machine/memory.ts';
import { peerSockets } from '../../../worker/connection/peer-server.ts';
import { createRingMember, RING_MESSAGES } from '../../../worker/ring/member.ts';
import { fastestVectorMath } from '../../../worker/machine/vector-math.ts';
import { answerRequests } from '../common/contender-answers.ts';
import { roundsOf, startPeers, STEP_TIMEOUT_MS, stepSizes } from './processes.ts';

export interface RingJob {
  readonly numFloats: number;
  readonly numWorkers: number;
  readonly wire: WireFormat;
  /** Set for a worker. */
  readonly joinUrl?: string;
  readonly name?: string;
}

const job = JSON.parse(process.argv.at(-1)!) as RingJob;
keepFreedMemory();

if (job.joinUrl === undefined) await answerRequests(() => coordinate(job));
else await work(job, job.joinUrl);
process.exit();

async function coordinate({ numWorkers, wire }: RingJob) {
  const members = await startPeers(Array.from({ length: numWorkers }, () => job));
  // No round asks for proofs of the replica.
  const parties = { replica: { step: 0 } as Replica, stepTimeoutMs: STEP_TIMEOUT_MS, say() {} };
  const ring = await createElasticRing({
    ...parties,
    fleet: createFleet(members, { ...parties, waitMs: 0, maxMembers: numWorkers }),
    makeStar() {
      throw new Error('there is no ring');
    },
  });
  return roundsOf(`ring, ${wire}, sockets`, ring, members);
}

/** Takes part in every round with a vector that depends on the round before. */
async function work({ numFloats, numWorkers, wire, name }: RingJob, joinUrl: string): Promise<void> {
  process.on('disconnect', () => process.exit());
  const transport = await connectToCoordinator(joinUrl, new AbortController().signal);
  transport.send({ kind: 'hello', name: name! });
  const layout = { numParameters: numFloats, numBuffers: 0 };
  const replica = { step: 0 };
  let first = 0;
  const exchange: Exchange = {
    layout,
    divisorOf: (numSamples) => numSamples,
    apply(average, { step }) {
      first = 1 + average[0]! / 2;
      replica.step = step;
    },
  };
  const contribution: Contribution = {
    layout,
    compute(_assignment, _index, { values }) {
      values[0] = first;
      return Promise.resolve({ lossSum: 1, numCorrect: 0, numSamples: 1, computeMs: 0 });
    },
    describeNonFinite: () => undefined,
  };
  const { globalBatch, microbatches: numMicrobatches, numTrainSamples } = stepSizes(numWorkers);
  const member = createRingMember({
    ...{ transport, exchange, contribution, vectorMath: fastestVectorMath() },
    welcome: { globalBatch, numMicrobatches, numTrainSamples, wire },
    replica: replica as Replica,
    peers: peerSockets(transport.localAddress),
    onError: (error) => transport.close(error as ProtocolError),
  });
  for (;;) await member.answer(await receiveKind(transport, 10 * LIMITS.prepareMs, ...RING_MESSAGES));
}
