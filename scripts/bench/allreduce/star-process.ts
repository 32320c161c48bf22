/**
 * A contender's process: star all-reduce as a run does it, over loopback, without engine, update and dataset. A round is
 * an update to every worker and a gradient back, summed in the fixed tree, averaged, and encoded again.
 *
 * This process is the coordinator; it starts its workers, which are this file too.
 */
import { fork } from 'node:child_process';
import { createStar } from '../../../coordinator/all-reduce/star.ts';
import type { Member } from '../../../coordinator/membership.ts';
import { startServer } from '../../../coordinator/server.ts';
import { planStep } from '../../../coordinator/step-plan.ts';
import type { ModelPlan } from '../../../protocol/state/model-spec.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import type { WireFormat } from '../../../protocol/wire/encoding.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { createVectorCodec, createVectorReader } from '../../../protocol/wire/vector-codec.ts';
import { connectToCoordinator } from '../../../worker/client.ts';
import { createGradientEncoder } from '../../../worker/gradient-encoder.ts';
import { keepFreedMemory } from '../../../worker/memory.ts';
import { fastestVectorMath } from '../../../worker/vector-math.ts';
import { answerRequests } from '../contender-answers.ts';

export interface StarJob {
  readonly numFloats: number;
  readonly numWorkers: number;
  readonly wire: WireFormat;
  /** Set for a worker. */
  readonly joinUrl?: string;
}

const RATES = { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 };

const job = JSON.parse(process.argv.at(-1)!) as StarJob;
const plan = { numParameters: job.numFloats, numBuffers: 0 } as ModelPlan;
const vectorMath = fastestVectorMath();
keepFreedMemory();

if (job.joinUrl === undefined) await answerRequests(() => coordinate(job));
else await work(job.joinUrl);
process.exit();

async function coordinate({ numWorkers, wire }: StarJob) {
  const transports: Transport[] = [];
  let allThere!: () => void;
  const everyone = new Promise<void>((resolve) => (allThere = resolve));
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    () => ({}),
    (transport) => {
      if (transports.push(transport) === numWorkers) allThere();
    },
  );
  for (let worker = 0; worker < numWorkers; worker++) {
    const workerArguments = [JSON.stringify({ ...job, joinUrl: server.joinUrl })];
    // The channel ends with this process, and the worker with the channel.
    fork(process.argv[1]!, workerArguments, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }
  await everyone;

  const members = transports.map((transport, i): Member => {
    const id = `w${i + 1}`;
    return { id, name: id, engine: 'none', device: 'none', threads: 1, transport };
  });
  // No round asks for proofs of the replica: only its sizes are looked at.
  const replica = { plan } as Parameters<typeof createStar>[1];
  const star = createStar(members, replica, { stepTimeoutMs: 60_000, wire }, vectorMath);
  // One sample a worker, and an epoch that never ends.
  const sizes = { globalBatch: numWorkers, microbatches: numWorkers, numTrainSamples: 2 ** 31, ratesAt: () => RATES };
  let step = planStep(1, members, sizes);
  star.open(step);
  return {
    description: `star, ${wire}`,
    async next() {
      const { isFinite } = await star.collect(step);
      if (!isFinite) throw new Error('the average is not finite');
      const next = planStep(step.step + 1, members, sizes);
      star.distribute(step, next);
      step = next;
      return undefined;
    },
  };
}

/** Answers every update with a gradient that depends on it. */
async function work(joinUrl: string): Promise<void> {
  process.on('disconnect', () => process.exit());
  const transport = await connectToCoordinator(joinUrl, new AbortController().signal);
  const readAverage = createVectorReader(createVectorCodec(job.wire, plan, vectorMath), job.numFloats);
  const vector = { values: Float32Array.from({ length: job.numFloats }, (_, i) => Math.sin(i)) };
  const encoder = createGradientEncoder(job.wire, plan, vectorMath, () => {});
  for (;;) {
    const message = await receiveKind(transport, 10 * LIMITS.prepareMs, 'step', 'update');
    const assignment = message.kind === 'step' ? message.assignment : message.next!;
    if (message.kind === 'update') {
      vector.values[0] = 1 + readAverage(message.payload)[0]! / 2;
      transport.recycle(message.payload);
      encoder.arrived();
    }
    const { step, firstMicrobatch, numMicrobatches } = assignment;
    const payload = encoder.encode(vector);
    const microbatches = [{ lossSum: 1, numCorrect: 0, numSamples: 1 }];
    const times = { computeMs: 0, encodeMs: 0, applyMs: 0 };
    transport.send({ kind: 'gradient', step, firstMicrobatch, numMicrobatches, microbatches, ...times, payload });
  }
}
