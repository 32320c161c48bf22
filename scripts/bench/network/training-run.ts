/** One training run across the hosts of a place: a coordinator, its workers, and the epochs' records that they leave. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createToken } from '../../../protocol/wire/authentication.ts';
import { splitJoinUrl } from '../../../protocol/wire/join-url.ts';
import { MEMORY_ENVIRONMENT } from '../../../worker/machine/memory.ts';
import { TOKEN_VARIABLE } from '../../run/token.ts';
import type { Place } from './place.ts';
import { createProcessGroup } from './processes.ts';
import type { ProcessGroup } from './processes.ts';
import { parseEpochs } from './records.ts';
import type { EpochFigures } from './records.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/scripts/cli.js', import.meta.url));

/** Starting, finding the data and proving engines takes a second or two a worker on a core. */
const START_SECONDS = 120;

/** Between looks for the coordinator's join file. */
const POLL_MS = 20;

/** Enough that every part of an epoch happens; evaluation is not measured. */
const TEST_SAMPLES = '256';

export interface TrainingRun {
  readonly model: string;
  readonly numWorkers: number;
  readonly wire: string;
  readonly batchPerWorker: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Where the dataset is. */
  readonly dataDir: string;
  /** More flags for `gradsock coordinator`. */
  readonly extra: readonly string[];
  /** How long all its steps may take together. */
  readonly deadlineSeconds: number;
}

/**
 * Trains, and returns what the coordinator recorded of each epoch. Nothing is left of it, also when `signal` ends it.
 *
 * Rejects with the last words of the process that failed first, with the signal's reason, or at the deadline.
 */
export function trainAcross(place: Place, run: TrainingRun, signal: AbortSignal): Promise<EpochFigures[]> {
  const { numWorkers, wire, extra, dataDir, deadlineSeconds } = run;
  return record(run, signal, async (group, runDir) => {
    const joinFile = `${runDir}.join`;
    const flags = [
      ...['--listen', `${place.address}:0`, '--join-file', joinFile, '--workers', String(numWorkers), '--wire', wire],
      ...['--join-timeout', String(START_SECONDS), '--step-timeout', String(deadlineSeconds), ...extra],
    ];
    const command = gradsock('coordinator', run, runDir);
    const coordinator = group.start('coordinator', place.atCoordinator([...command, ...flags]));
    // The token, too, is in the environment of all of them.
    const { url } = splitJoinUrl(await Promise.race([readWhenThere(joinFile), coordinator.ended.then(() => '')]));
    const workers = Array.from({ length: numWorkers }, async (_, worker) => {
      const joinUrl = await place.joinUrl(worker, url, group);
      const flags = ['--name', `host-${worker + 1}`, '--data-dir', dataDir, '--quiet'];
      const command = [process.execPath, PROGRAM, 'worker', joinUrl, ...flags];
      await group.start(`worker ${worker + 1}`, place.atWorker(worker, command)).ended;
    });
    await Promise.all([coordinator.ended, ...workers]);
    if (extra.includes('ring')) checkRing(readFileSync(join(runDir, 'log.jsonl'), 'utf8'));
  });
}

/** Throws when the run fell back to the star: what was measured is then not what was asked for. */
function checkRing(log: string): void {
  const line = /"msg":"(all-reduce: [^"]*)"/.exec(log)?.[1] ?? 'all-reduce: not said';
  if (!line.startsWith('all-reduce: ring')) throw new Error(`expected a ring, got ${line}`);
}

/** The same steps by one worker in one process, without a network: the baseline. */
export function trainAlone(run: TrainingRun, signal: AbortSignal): Promise<EpochFigures[]> {
  return record(run, signal, (group, runDir) => group.start('baseline', gradsock('baseline', run, runDir)).ended);
}

function gradsock(command: string, run: TrainingRun, runDir: string): string[] {
  const { model, numWorkers, batchPerWorker, stepsPerEpoch, epochs, dataDir } = run;
  const globalBatch = numWorkers * batchPerWorker;
  return [
    ...[process.execPath, PROGRAM, command, '--model', model, '--epochs', String(epochs), '--run-dir', runDir],
    ...['--global-batch', String(globalBatch), '--train-samples', String(globalBatch * stepsPerEpoch)],
    ...['--test-samples', TEST_SAMPLES, '--data-dir', dataDir, '--quiet'],
  ];
}

/** Carries out `start` with processes and a run directory of its own, and reads the records. Cleans up. */
async function record(
  { model, deadlineSeconds }: TrainingRun,
  signal: AbortSignal,
  start: (group: ProcessGroup, runDir: string) => Promise<void>,
): Promise<EpochFigures[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-emulate-'));
  const group = createProcessGroup({ ...MEMORY_ENVIRONMENT, ...process.env, [TOKEN_VARIABLE]: createToken() });
  const over = new AbortController();
  const seconds = START_SECONDS + deadlineSeconds;
  const timer = setTimeout(
    () => over.abort(new Error(`a run of ${model} was not over after ${seconds} s`)),
    seconds * 1000,
  );
  const either = AbortSignal.any([signal, over.signal]);
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(either.reason as Error);
    if (either.aborted) abort();
    else either.addEventListener('abort', abort, { once: true });
  });
  try {
    const runDir = join(folder, 'run');
    await Promise.race([start(group, runDir), aborted]);
    return parseEpochs(readFileSync(join(runDir, 'epochs.jsonl'), 'utf8'));
  } finally {
    clearTimeout(timer);
    await group.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The file appears whole, by renaming. The wait has a deadline, so it also ends after it has lost the race. */
async function readWhenThere(path: string): Promise<string> {
  const lastMs = performance.now() + START_SECONDS * 1000;
  while (!existsSync(path)) {
    if (performance.now() > lastMs) throw new Error(`${path} was not written within ${START_SECONDS} s`);
    await delay(POLL_MS);
  }
  return readFileSync(path, 'utf8').trim();
}
