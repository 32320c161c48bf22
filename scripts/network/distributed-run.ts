/** One run with a coordinator and workers as processes, each where a place has it, and the records that it leaves. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createToken } from '../../protocol/wire/authentication.ts';
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { MEMORY_ENVIRONMENT } from '../../worker/machine/memory.ts';
import { TOKEN_VARIABLE } from '../run/token.ts';
import { PROGRAM } from './built-file.ts';
import type { Place } from './place.ts';
import { createProcessGroup } from './processes.ts';
import type { ProcessGroup } from './processes.ts';
import { parseEpochs } from './records.ts';
import type { EpochFigures } from './records.ts';

/** Starting, finding the data and probing engines takes a second or two for each worker of a core. */
const START_SECONDS = 120;

/** Between looks for the coordinator's join file. */
const POLL_MS = 20;

/** What a run leaves: the records of its epochs, its log, and the sum of its parameters. */
export interface RunRecords {
  readonly epochs: EpochFigures[];
  /** Text of `log.jsonl`. */
  readonly log: string;
  readonly parametersSha256: string;
}

export interface DistributedRun {
  readonly numWorkers: number;
  /** Flags of `gradsock coordinator`, without those of where it listens and what it waits for. */
  readonly coordinatorFlags: readonly string[];
  /** Flags of each `gradsock worker`. */
  readonly workerFlags: readonly string[];
  /** Longest time of all steps together. */
  readonly deadlineSeconds: number;
  /** Default: this process's environment. The token is added. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Trains, and returns what the coordinator recorded. Nothing is left behind, also when `signal` ends the run.
 *
 * Rejects with the last words of the process that failed first, with the signal's reason, or at the deadline.
 */
export function trainAcross(place: Place, run: DistributedRun, signal: AbortSignal): Promise<RunRecords> {
  const { numWorkers, coordinatorFlags, workerFlags, deadlineSeconds, environment } = run;
  return recordRun({ deadlineSeconds, signal, environment }, async (group, runDir, over) => {
    const joinFile = `${runDir}.join`;
    const flags = [
      ...['--run-dir', runDir, '--listen', `${place.address}:0`, '--join-file', joinFile],
      ...['--workers', String(numWorkers), '--join-timeout', String(START_SECONDS)],
      ...['--step-timeout', String(deadlineSeconds), ...coordinatorFlags],
    ];
    const command = place.atCoordinator([process.execPath, PROGRAM, 'coordinator', ...flags]);
    const coordinator = group.start('coordinator', command);
    // The token, too, is in the environment of all of them.
    const { url } = splitJoinUrl(await Promise.race([readWhenThere(joinFile, over), coordinator.ended.then(() => '')]));
    const workers = Array.from({ length: numWorkers }, async (_, worker) => {
      const joinUrl = await place.joinUrl(worker, url, group);
      const flags = ['--name', `host-${worker + 1}`, '--quiet', ...workerFlags];
      const command = [process.execPath, PROGRAM, 'worker', joinUrl, ...flags];
      await group.start(`worker ${worker + 1}`, place.atWorker(worker, command)).ended;
    });
    await Promise.all([coordinator.ended, ...workers]);
  });
}

export interface RecordingOptions {
  readonly deadlineSeconds: number;
  readonly signal: AbortSignal;
  readonly environment?: NodeJS.ProcessEnv | undefined;
}

/**
 * Carries out `start` with processes and a run directory that only this run has, and reads the records. Cleans up. The
 * signal `over` is aborted when the run is over, however it ended.
 *
 * Rejects as {@link trainAcross} does.
 */
export async function recordRun(
  { deadlineSeconds, signal, environment = process.env }: RecordingOptions,
  start: (group: ProcessGroup, runDir: string, over: AbortSignal) => Promise<void>,
): Promise<RunRecords> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-run-'));
  const group = createProcessGroup({ ...MEMORY_ENVIRONMENT, ...environment, [TOKEN_VARIABLE]: createToken() });
  const [late, over] = [new AbortController(), new AbortController()];
  const seconds = START_SECONDS + deadlineSeconds;
  const timer = setTimeout(() => late.abort(new Error(`a run was not over after ${seconds} s`)), seconds * 1000);
  const either = AbortSignal.any([signal, late.signal]);
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(either.reason as Error);
    if (either.aborted) abort();
    else either.addEventListener('abort', abort, { once: true });
  });
  aborted.catch(() => {});
  try {
    const runDir = join(folder, 'run');
    await Promise.race([start(group, runDir, over.signal), aborted]);
    const read = (name: string) => readFileSync(join(runDir, name), 'utf8');
    const { parametersSha256 } = JSON.parse(read('result.json')) as { parametersSha256: string };
    return { epochs: parseEpochs(read('epochs.jsonl')), log: read('log.jsonl'), parametersSha256 };
  } finally {
    clearTimeout(timer);
    over.abort(new Error('the run is over'));
    await group.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the run said of how it averages, from its log: "star: all workers are on this machine". */
export function allReduceIn(log: string): string {
  return /"msg":"all-reduce: ([^"]*)"/.exec(log)?.[1] ?? 'not said';
}

/** The file appears whole, by renaming. Rejects at a deadline, and when the run is over. */
async function readWhenThere(path: string, over: AbortSignal): Promise<string> {
  const lastMs = performance.now() + START_SECONDS * 1000;
  while (!existsSync(path)) {
    if (performance.now() > lastMs) throw new Error(`${path} was not written within ${START_SECONDS} s`);
    await delay(POLL_MS, undefined, { signal: over });
  }
  return readFileSync(path, 'utf8').trim();
}
