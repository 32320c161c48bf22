/** Where the workers of a measured run come from: processes as `gradsock train` starts them, or this process. */
import { fileURLToPath } from 'node:url';
import type { Membership } from '../../../coordinator/members/membership.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { describeError } from '../../../protocol/errors.ts';
import type { Dataset } from '../../../protocol/data/dataset.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import type { VectorMath } from '../../../protocol/vectors/vector-math.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { createEngine } from '../../../worker/engines/choose-engine.ts';
import { runWorkerSession } from '../../../worker/session.ts';
import { startLocalWorkers } from '../../run/local-workers.ts';

const PROGRAM = fileURLToPath(new URL('../../cli.ts', import.meta.url));

export interface WorkersContext {
  readonly membership: Membership;
  readonly engine: string;
  /** A worker will not come, or has gone. */
  readonly onFailure: (error: Error) => void;
}

/** Starts a server and worker processes that join by it; returns their ids. They end with this process. */
export async function startWorkers(
  numWorkers: number,
  dataFolder: string,
  { membership, engine, onFailure }: WorkersContext,
): Promise<readonly number[]> {
  const health = () => ({ status: 'running', workers: membership.members.length });
  const server = await startServer({ host: '127.0.0.1', port: 0 }, health, (transport, isSameMachine) => {
    void membership.admit(transport, isSameMachine);
  });
  const { processIds } = startLocalWorkers({
    numWorkers,
    program: PROGRAM,
    joinUrl: server.joinUrl,
    flags: ['--engine', engine, '--threads', '1', '--data-dir', dataFolder, '--quiet'],
    log: (line) => process.stderr.write(`${line}\n`),
    onFailure,
  });
  return processIds;
}

export interface InProcessContext extends WorkersContext {
  readonly replica: Replica;
  readonly dataset: Dataset;
  readonly vectorMath: VectorMath;
}

/** The baseline's worker: a session in this process that shares its replica. */
export function joinInProcess(context: InProcessContext): void {
  const { membership, engine, onFailure, replica, dataset, vectorMath } = context;
  const [coordinatorEnd, workerEnd] = memoryTransportPair(['coordinator', 'this process']);
  void membership.admit(coordinatorEnd);
  runWorkerSession(workerEnd, {
    name: 'baseline',
    vectorMath,
    sharedReplica: replica,
    loadDataset: () => Promise.resolve(dataset),
    createEngine: async (options) => (await createEngine(engine, { ...options, threads: 1 })).engine,
  }).catch((error: unknown) => onFailure(error instanceof Error ? error : new Error(describeError(error))));
}
