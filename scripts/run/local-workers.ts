/** The worker processes of `gradsock train`: started for a run, started again when they die, and gone with the run. */
import { ConfigError, ProtocolError } from '../../protocol/errors.ts';
import { adviceOn } from '../../coordinator/reporting/cures.ts';
import type { WorkerSource } from '../../coordinator/run-options.ts';
import { createRestarts } from './restarts.ts';
import type { Restarts } from './restarts.ts';
import { createWorkerLog } from './worker-log.ts';
import { startWorkerProcess } from './worker-process.ts';
import type { WorkerProcess, WorkerProcessOptions } from './worker-process.ts';

const DEFAULT_STEP_TIMEOUT_MS = 60_000;

export interface LocalWorkersOptions extends Pick<WorkerProcessOptions, 'program' | 'nodeFlags'> {
  readonly numWorkers: number;
  /** What a worker is called, by its number from 0. Default: local-1, local-2, ... */
  readonly nameOf?: ((index: number) => string) | undefined;
  readonly joinUrl: string;
  /** The run's token. */
  readonly token?: string | undefined;
  /** Flags for `gradsock worker`. */
  readonly flags: readonly string[];
  /** The longest that a step may take. Default: 60 s. */
  readonly stepTimeoutMs?: number;
  readonly log: (line: string) => void;
  /** A worker cannot work: it was asked for what is not there, or died again and again. */
  readonly onFailure: (error: Error) => void;
}

export interface LocalWorkers extends WorkerSource {
  /** Of those that run now. */
  readonly processIds: readonly number[];
  /** The last lines of a worker of this name, and how its processes ended. */
  lastLinesOf(name: string): readonly string[];
}

/**
 * Starts the worker processes.
 *
 * A process that is killed, or fails, is started again, and joins the run anew. `restarts.ts` says how often.
 */
export function startLocalWorkers(options: LocalWorkersOptions): LocalWorkers {
  let isStopping = false;
  const lines = createWorkerLog(options.log);
  const running: WorkerProcess[] = [];
  const { program, nodeFlags, joinUrl, token, flags, numWorkers, stepTimeoutMs = DEFAULT_STEP_TIMEOUT_MS } = options;
  const { nameOf = (index: number) => `local-${index + 1}` } = options;
  const start = (localRank: number, restarts: Restarts) => {
    const name = nameOf(localRank);
    running[localRank] = startWorkerProcess({
      ...{ name, localRank, token, ...(program !== undefined && { program }), ...(nodeFlags && { nodeFlags }) },
      // The launcher starts another process in place of one that has lost the run.
      args: [joinUrl, '--workers', '1', '--reconnect', '0', '--no-progress', ...flags],
      onLine: (line) => lines.add(name, line),
      onEnd({ error, lastLine, wasStarted, lifeMs }) {
        if (isStopping) return;
        for (const line of [lastLine, error.message]) if (line !== '') lines.keep(name, line);
        const isHopeless = error instanceof ConfigError || !wasStarted;
        const verdict = isHopeless ? undefined : restarts.died(lifeMs);
        if (isHopeless) {
          options.onFailure(error);
        } else if (verdict !== undefined) {
          options.onFailure(givenUp(name, verdict, error));
        } else {
          options.log(`${error.message}; it is started again`);
          start(localRank, restarts);
        }
      },
    });
  };
  for (let localRank = 0; localRank < numWorkers; localRank++) start(localRank, createRestarts(stepTimeoutMs));
  return {
    get processIds() {
      return running.flatMap(({ pid }) => pid ?? []);
    },
    lastLinesOf: (name) => lines.lastLinesOf(name),
    async stop() {
      isStopping = true;
      await Promise.all(running.map((worker) => worker.waitOrKill()));
    },
  };
}

/** The error for a worker that died too often. */
function givenUp(worker: string, verdict: string, { message }: Error): ProtocolError {
  const advice = adviceOn(message);
  const whole = `${worker} ${verdict}, and is not started again; the last time: ${message}`;
  return new ProtocolError('ERR_PEER_LOST', advice === undefined ? whole : `${whole}: ${advice}`, { worker });
}
