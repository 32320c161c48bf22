/** Where the workers of `train` come from: a session in this process, or local processes. */
import { realpathSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SummonContext, WorkerSource } from '../../coordinator/run-options.ts';
import { describeError } from '../../protocol/errors.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import { createEngine } from '../../worker/engines/choose-engine.ts';
import { announceChoice } from '../../worker/engines/passed-over.ts';
import { runWorkerSession } from '../../worker/session.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { startLocalWorkers } from '../run/local-workers.ts';
import type { LocalWorkers } from '../run/local-workers.ts';

type Say = (line: string) => void;

/** The worker of a single-node run: a session over the in-memory transport, which trains the coordinator's own replica. */
export function workInProcess(
  { membership, replica, samples, onFailure }: SummonContext,
  { engine, device, threads }: EngineFlags,
  { vectorMath, ...told }: { readonly vectorMath: VectorMath; readonly log: Say; readonly warn: Say },
): WorkerSource {
  const [coordinatorEnd, workerEnd] = memoryTransportPair(['coordinator', 'this process']);
  void membership.admit(coordinatorEnd);
  const session = runWorkerSession(workerEnd, {
    name: 'baseline',
    vectorMath,
    sharedReplica: replica,
    loadDataset: () => Promise.resolve(samples),
    createEngine: async (engineOptions) => {
      const chosen = await createEngine(engine, { ...engineOptions, threads, device });
      announceChoice(chosen, told);
      return chosen.engine;
    },
  });
  const ended = session.then(
    () => {},
    (error: unknown) => onFailure(error instanceof Error ? error : new Error(describeError(error))),
  );
  return { stop: () => ended };
}

export interface LocalWork {
  readonly numWorkers: number;
  /** What a worker is called, by its number from 0. Default: local-1, local-2, ... */
  readonly nameOf?: ((index: number) => string) | undefined;
  readonly joinUrl: string;
  readonly token: string | undefined;
  /** sha256 of the coordinator's certificate, if it has one. */
  readonly fingerprint: string | undefined;
  readonly stepTimeoutMs: number;
  readonly dataDir: string | undefined;
  /** Whether they may keep the data that they are sent in the user's cache. */
  readonly keepsData: boolean;
  /** Whether they say only what is out of the ordinary. */
  readonly isQuiet: boolean;
  readonly log: Say;
  readonly onFailure: (error: Error) => void;
}

/** `gradsock worker` processes on this machine. */
export function workInProcesses(work: LocalWork, { engine, device, threads }: EngineFlags): LocalWorkers {
  const { dataDir, keepsData, isQuiet, fingerprint, ...others } = work;
  return startLocalWorkers({
    ...others,
    program: PROGRAM,
    nodeFlags: inheritedFlags(),
    flags: [
      ...['--engine', engine, '--threads', String(threads)],
      ...(work.token === undefined ? ['--no-token'] : []),
      ...(fingerprint === undefined ? [] : ['--tls-fingerprint', fingerprint]),
      ...(isQuiet ? ['--quiet'] : []),
      ...(device === undefined ? [] : ['--device', device]),
      ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
      ...(keepsData ? [] : ['--no-keep-data']),
    ],
  });
}

/** Beside this folder, in the sources or in dist/. */
export const PROGRAM = fileURLToPath(new URL(`../cli${extname(import.meta.url)}`, import.meta.url));

/**
 * Node's own flags for workers: those of the program where this process is one, and those that load TypeScript where it
 * runs from its sources. Another program's are its own: with --eval they would run that program again.
 */
function inheritedFlags(): readonly string[] {
  const isProgram = process.argv[1] !== undefined && realPathOf(process.argv[1]) === realPathOf(PROGRAM);
  return isProgram || PROGRAM.endsWith('.ts') ? process.execArgv : [];
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
