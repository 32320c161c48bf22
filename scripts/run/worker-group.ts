/** `gradsock worker --workers K`: several worker processes of this machine, which end together. */
import { availableParallelism } from 'node:os';
import { countOf } from '../../protocol/counts.ts';
import type { RunOutcome } from '../../protocol/wire/messages.ts';
import { localRank, visibleGpus } from '../../worker/engines/gpus.ts';
import { EXIT } from '../process.ts';
import { createRestarts } from './restarts.ts';
import type { Restarts } from './restarts.ts';
import { createWorkerLog } from './worker-log.ts';
import { startWorkerProcess } from './worker-process.ts';
import type { WorkerEnd, WorkerProcess } from './worker-process.ts';

/** From the end of the run for one worker to the end of the others, which are told by the coordinator at the same time. */
const END_TOGETHER_MS = 5000;

/** For the group, only what counts as a long life of a worker depends on it. */
const STEP_TIMEOUT_MS = 60_000;

export interface WorkerGroupOptions {
  readonly numWorkers: number;
  /** What a worker is called, by its number from 0. */
  readonly nameOf: (index: number) => string;
  /** Arguments of `gradsock worker`: what to join, and flags. */
  readonly args: readonly string[];
  /** The run's token. */
  readonly token: string | undefined;
  /** Aborted by the user: all workers leave the run. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Has the number of this process among those of a launcher. Default: this process's environment. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Told how the run ended, where the coordinator says so. */
  readonly onOutcome?: (outcome: RunOutcome) => void;
}

/**
 * Starts the workers, and resolves with the group's exit code when all have ended: 2 if a worker refused its flags, 1 if one
 * failed, 130 if the user ended the group, else 0.
 *
 * A worker that is killed is started again; `restarts.ts` says how often. If a worker fails by itself, the others go on. If
 * a worker refuses its flags, all end, since all have the same flags. If the run is over for one worker, all end.
 */
export async function runWorkerGroup(options: WorkerGroupOptions): Promise<number> {
  const { numWorkers, nameOf, args, token, signal, log, environment = process.env } = options;
  if (signal.aborted) return EXIT.interrupted;
  const lines = createWorkerLog(log);
  const said = new Set<string>();
  const say = (line: string) => {
    if (!said.has(line)) log(line);
    said.add(line);
  };
  const firstRank = localRank(environment) * numWorkers;
  const ends = new Set<Verdict['kind'] | 'interrupted'>();
  const running = new Map<number, WorkerProcess>();
  const ending = endTogether(running);
  const live = (index: number, restarts: Restarts): Promise<void> =>
    new Promise((resolve) => {
      const name = nameOf(index);
      const worker = startWorkerProcess({
        ...{
          name,
          localRank: firstRank + index,
          token,
          args: ['--workers', '1', ...(index > 0 ? ['--no-progress'] : []), ...args],
        },
        onLine: (line) => lines.add(name, line),
        onEnd(end) {
          running.delete(index);
          if (end.outcome) options.onOutcome?.(end.outcome);
          const verdict = judge(end, restarts, running.size);
          const isAsked = ending.hasBegun && verdict.kind !== 'done';
          if (!isAsked) {
            ends.add(verdict.kind);
            if (verdict.line !== undefined) say(verdict.line);
          }
          if (verdict.kind === 'done') ending.soon();
          if (verdict.kind === 'refused') ending.now();
          resolve(verdict.kind === 'again' && !isAsked ? live(index, restarts) : undefined);
        },
      });
      running.set(index, worker);
    });
  const interrupt = () => {
    ends.add('interrupted');
    ending.now();
  };
  signal.addEventListener('abort', interrupt, { once: true });
  await Promise.all(Array.from({ length: numWorkers }, (_, index) => live(index, createRestarts(STEP_TIMEOUT_MS))));
  ending.done();
  signal.removeEventListener('abort', interrupt);
  if (ends.has('refused')) return EXIT.usage;
  if (ends.has('failed')) return EXIT.failed;
  return ends.has('interrupted') ? EXIT.interrupted : EXIT.done;
}

interface Verdict {
  readonly kind: 'done' | 'again' | 'failed' | 'refused';
  readonly line?: string;
}

/** What the end of a worker means for its group. `numLeft`: workers of the group that still run. */
function judge(end: WorkerEnd, restarts: Restarts, numLeft: number): Verdict {
  const { code, error, wasStarted, lifeMs, reason, outcome } = end;
  if (code === EXIT.done || outcome !== undefined)
    return { kind: 'done', ...(reason !== undefined && { line: reason }) };
  if (code === EXIT.usage || !wasStarted)
    return { kind: code === EXIT.usage ? 'refused' : 'failed', line: error.message };
  const left = `${countOf(numLeft, 'worker')} left`;
  if (code === EXIT.failed) return { kind: 'failed', line: `${error.message} (${left})` };
  const verdict = restarts.died(lifeMs);
  if (verdict === undefined) return { kind: 'again', line: `${error.message}; it is started again` };
  return { kind: 'failed', line: `${error.message}; it ${verdict}, and is not started again (${left})` };
}

/** Ends the workers that run: each is asked to leave, and killed if it does not. */
function endTogether(running: ReadonlyMap<number, WorkerProcess>) {
  let timer: NodeJS.Timeout | undefined;
  let hasBegun = false;
  const now = () => {
    if (hasBegun) return;
    hasBegun = true;
    clearTimeout(timer);
    for (const worker of running.values()) {
      worker.leave();
      void worker.waitOrKill();
    }
  };
  return {
    now,
    soon: () => void (timer ??= setTimeout(now, END_TOGETHER_MS)),
    /** All have ended. */
    done: () => clearTimeout(timer),
    get hasBegun() {
      return hasBegun;
    },
  };
}

/** Engines and devices that need no GPU. */
const OF_CPU = ['native', 'reference', 'cpu', 'wasm'];

/** Where a group computes. */
export interface GroupPlace {
  readonly engine: string;
  readonly device?: string | undefined;
  readonly threads: number;
}

/**
 * The number of workers that `--workers 0` means: one for each GPU that this process may use, else one for each core, or
 * for each `threads` cores.
 */
export async function groupSizeOf(
  { engine, device, threads }: GroupPlace,
  machine: { readonly numCores?: number; readonly gpus?: () => Promise<readonly string[]> } = {},
): Promise<number> {
  const { numCores = availableParallelism(), gpus = visibleGpus } = machine;
  const isOfCpu = OF_CPU.includes(engine) || (device !== undefined && OF_CPU.includes(device));
  const numGpus = isOfCpu ? 0 : (await gpus()).length;
  return numGpus > 0 ? numGpus : Math.max(1, Math.floor(numCores / threads));
}
