/** A run behind a real server: workers join it by any transport, and their gradients wait for the test to let them go. */
import { onTestFinished } from 'vitest';
import { createStar } from '../../coordinator/all-reduce/star/star.ts';
import { createFleet } from '../../coordinator/members/fleet.ts';
import { memberLimitsOf } from '../../coordinator/members/limits.ts';
import { createMembership } from '../../coordinator/members/membership.ts';
import type { MembershipOptions } from '../../coordinator/members/membership.ts';
import { createRunMemory } from '../../coordinator/members/shared-memory.ts';
import { welcomeOf } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { startServer } from '../../coordinator/server/server.ts';
import type { ServerOptions } from '../../coordinator/server/server.ts';
import { synchronise } from '../../coordinator/members/fleet.ts';
import { train } from '../../coordinator/trainer.ts';
import { createExchange } from '../../protocol/state/exchange.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { SharedMemorySystem } from '../../protocol/wire/shared-memory.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { madeUpDataset } from './cluster.ts';
import { never } from './sockets.ts';

const DEADLINE_MS = 20_000;

/** Ended with the test. */
export async function startSocketRun(
  config: RunConfig,
  membershipOptions: Partial<MembershipOptions> = {},
  serverOptions: ServerOptions = {},
  /** What the coordinator and workers share memory by, and the star's buckets. Default: no memory, and the star's own. */
  { sharedMemory, numBuckets }: { sharedMemory?: SharedMemorySystem | undefined; numBuckets?: number } = {},
) {
  const dataset = madeUpDataset();
  const replica = createReplica(planModel(config.model), config.optimizer, config.seed);
  const { layout } = createExchange(replica, config.localSteps, config.microbatches);
  const logged: string[] = [];
  const memory = createRunMemory(config, layout, sharedMemory, (line) => logged.push(line));
  const membership = createMembership({
    welcome: welcomeOf(config, 'test', dataset),
    limits: memberLimitsOf(config, layout, replica.state),
    log: (_, line) => logged.push(line),
    memory,
    ...membershipOptions,
  });
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    () => ({}),
    (transport, isSameMachine) => membership.admit(transport, isSameMachine),
    serverOptions,
  );
  let letGo!: () => void;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const sessions: Promise<string>[] = [];
  onTestFinished(async () => {
    letGo();
    membership.dismiss('the test is over');
    await Promise.allSettled(sessions);
    await server.close();
  });

  return {
    membership,
    replica,
    logged,
    joinUrl: server.joinUrl,
    port: Number(new URL(server.joinUrl).port),
    /** Lets gradients be computed from here on. */
    letGo,
    /** A worker at the other end of a connection to the run. */
    work(transport: Transport, name: string, token?: string): Promise<string> {
      const session = runWorkerSession(transport, {
        name,
        token,
        sharedMemory,
        loadDataset: () => Promise.resolve(dataset),
        createEngine: async (options) => {
          const engine = await createReferenceEngine({ ...options, threads: 1 });
          return {
            ...engine,
            async computeGradient(batch, into) {
              await gate;
              return engine.computeGradient(batch, into);
            },
          };
        },
      });
      sessions.push(session);
      session.catch(() => {});
      return session;
    },
    /** Trains to the end, once all workers are there; returns what the user was told. */
    async train(): Promise<string[]> {
      const said: string[] = [];
      const members = await membership.waitForWorkers(config.workers, DEADLINE_MS, never());
      const fleet = createFleet(members, {
        replica,
        stepTimeoutMs: DEADLINE_MS,
        waitMs: 0,
        maxMembers: config.microbatches,
        say: (line) => said.push(line),
      });
      await synchronise(fleet, replica, DEADLINE_MS);
      await train({
        config,
        numTrainSamples: dataset.train.numSamples,
        numEvaluationSamples: dataset.evaluation.numSamples,
        fleet,
        allReduce: createStar(fleet, replica, {
          stepTimeoutMs: DEADLINE_MS,
          wire: config.wire,
          allocateAverage: memory.allocateAverage,
          ...(numBuckets !== undefined && { numBuckets }),
        }),
        replica,
        signal: never(),
        onProgress: () => {},
        onEpoch: () => Promise.resolve(),
      });
      return said;
    },
  };
}
