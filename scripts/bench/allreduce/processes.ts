/** What our contenders of the all-reduce benchmark share: peers as processes of their own, and steps without an epoch. */
import { fork } from 'node:child_process';
import type { AllReduce } from '../../../coordinator/all-reduce/all-reduce.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import type { Member } from '../../../coordinator/members/member.ts';
import { planStep } from '../../../coordinator/step/step-plan.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import type { Work } from '../common/contender-answers.ts';

/** Longer than any answer takes, however many processes share the cores. */
export const STEP_TIMEOUT_MS = 60_000;

const RATES = { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 };

/** One sample a worker, and an epoch that never ends. */
export const stepSizes = (numWorkers: number) => ({
  globalBatch: numWorkers,
  microbatches: numWorkers,
  numTrainSamples: 2 ** 31,
  ratesAt: () => RATES,
});

/** The work of a contender that leads: a round of the all-reduce at a time, in a run that never ends. */
export function roundsOf(description: string, allReduce: AllReduce, members: readonly Member[]): Work {
  const sizes = stepSizes(members.length);
  let step = planStep(1, members, sizes);
  allReduce.open(step);
  return {
    description,
    async next() {
      const { isFinite } = await allReduce.collect(step);
      if (!isFinite) throw new Error(`${description}: the average is not finite`);
      const next = planStep(step.step + 1, members, sizes);
      allReduce.distribute(step, next);
      step = next;
      return undefined;
    },
  };
}

/**
 * Starts this program once for each of `jobs`, with the join URL added, and waits until all have said hello; members come
 * in the order of their jobs.
 */
export async function startPeers(jobs: readonly object[]): Promise<Member[]> {
  const transports: Transport[] = [];
  let allThere!: () => void;
  const everyone = new Promise<void>((resolve) => (allThere = resolve));
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    () => ({}),
    (transport) => {
      if (transports.push(transport) === jobs.length) allThere();
    },
  );
  jobs.forEach((job, index) => {
    const peerJob = { ...job, joinUrl: server.joinUrl, name: String(index) };
    // The channel ends with this process, and the peer with the channel.
    fork(process.argv[1]!, [JSON.stringify(peerJob)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  });
  await everyone;
  const members: Member[] = [];
  for (const transport of transports) {
    const { name } = await receiveKind(transport, LIMITS.handshakeMs, 'hello');
    const id = `w${Number(name) + 1}`;
    members[Number(name)] = { id, name: id, engine: 'none', device: 'none', threads: 1, transport };
  }
  return members;
}

/** Values as a gradient may have, in a moment: a worker that is busy for long is taken for dead. */
export function fill(vector: Float32Array): void {
  const pattern = Float32Array.from({ length: Math.min(4096, vector.length) }, (_, i) => Math.sin(i));
  for (let at = 0; at < vector.length; at += pattern.length) vector.set(pattern.subarray(0, vector.length - at), at);
}
