/**
 * A rank at work. Rank 0 coordinates the run, and has workers as every rank does. The others wait for the coordinator, and end
 * as the run ends.
 */
import type { RunOutcome } from '../../protocol/wire/messages.ts';
import { holdsRun } from '../../coordinator/run-directory/earlier-start.ts';
import type { RankFlags } from '../flags/rank.ts';
import type { TrainOptions } from '../library/options.ts';
import { train } from '../library/train.ts';
import { EXIT, exitCodeOf } from '../process.ts';
import { readServerTls } from '../run/tls-files.ts';
import { runWorkerGroup } from '../run/worker-group.ts';
import type { FoundPart } from './families.ts';
import type { Meeting } from './meeting.ts';

export interface RankJob {
  readonly part: FoundPart;
  readonly meeting: Meeting;
  readonly flags: RankFlags;
  /** The token that every rank was given; undefined where they read it in the join file. */
  readonly token: string | undefined;
  readonly say: (line: string) => void;
}

/**
 * Coordinates the run, with this rank's own workers among its workers; returns the exit code. A run that the run directory
 * holds already goes on: schedulers start a job again by the same command.
 *
 * `options`: the run's flags and callbacks. Rejects as `train` does.
 */
export async function coordinateRank(job: RankJob, options: TrainOptions): Promise<number> {
  const { part, meeting, flags, token, say } = job;
  const { runDir } = flags;
  const isBegun = options.resume === undefined && runDir !== undefined && holdsRun(runDir);
  if (isBegun) say(`rank 0: ${runDir} holds a run: it goes on`);
  const { size = 1, workersPerRank = 1 } = part;
  const numWorkers = flags.workers ?? size * workersPerRank;
  // A run that is recorded has as many microbatches as its record says.
  const isRecorded = options.resume !== undefined || options.config !== undefined;
  const microbatches = flags.microbatches ?? flags.maxWorkers ?? numWorkers;
  const fresh = isRecorded ? {} : { microbatches };
  const { result } = await train({
    ...options,
    ...(isBegun ? { runDir: undefined, resume: runDir, config: undefined } : fresh),
    ...{ listen: meeting.listen, joinFile: meeting.joinFile, token, farewell: true },
    workers: workersPerRank,
    minWorkers: flags.minWorkers ?? numWorkers,
    nameWorker: (index) => nameOf(part, index),
  });
  return exitCodeOf(result);
}

/** Works in the run of rank 0, and leaves it when `signal` is aborted; returns the exit code. */
export async function workInRank(job: RankJob, signal: AbortSignal): Promise<number> {
  const { part, meeting, flags, token, say } = job;
  const { address, joinFile } = meeting;
  const { engine, device, threads, dataDir, joinTimeout, reconnect, quiet } = flags;
  const fingerprint = readServerTls(flags)?.fingerprint;
  const url = `${fingerprint === undefined ? 'ws' : 'wss'}://${address ?? meeting.listen}`;
  let outcome: RunOutcome | undefined;
  const code = await runWorkerGroup({
    numWorkers: part.workersPerRank ?? 1,
    nameOf: (index) => nameOf(part, index),
    args: [
      ...(joinFile === undefined ? [url] : ['--join-file', joinFile]),
      ...['--engine', engine, '--threads', String(threads), '--no-progress'],
      ...['--wait', String(joinTimeout), '--reconnect', String(reconnect)],
      ...(device === undefined ? [] : ['--device', device]),
      ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
      ...(fingerprint === undefined ? [] : ['--tls-fingerprint', fingerprint]),
      ...(quiet ? ['--quiet'] : []),
    ],
    ...{ token, signal, log: say },
    environment: { LOCAL_RANK: String(part.localRank) },
    onOutcome: (told) => (outcome = told),
  });
  return outcome === undefined || signal.aborted ? code : codeOf(outcome);
}

const nameOf = ({ rank, workersPerRank = 1 }: FoundPart, index: number): string =>
  `rank-${rank * workersPerRank + index}`;

function codeOf(outcome: RunOutcome): number {
  return { completed: EXIT.done, failed: EXIT.failed, interrupted: EXIT.interrupted }[outcome];
}
