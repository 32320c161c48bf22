/** One trial from its start, or from where it was left, to its record. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunResult } from '../../coordinator/reporting/reporter.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import { EXIT } from '../process.ts';
import { readCurve } from './curve.ts';
import type { TrialRecord } from './directory.ts';
import { argumentsOf } from './flags.ts';
import type { Curve } from './median-rule.ts';
import type { Objective } from './spec.ts';
import { startTrialProcess } from './trial-process.ts';
import type { TrialEnd } from './trial-process.ts';
import type { Trial } from './trials.ts';

/** A sweep has many runs, and each leaves its checkpoints: the newest, and the best. */
const KEPT_CHECKPOINTS = 1;

export interface TrialOptions {
  readonly trial: Trial;
  readonly runDir: string;
  readonly objective: Objective;
  readonly env: NodeJS.ProcessEnv;
  /** Asked after each epoch but the run's last. */
  readonly isHopeless: (curve: Curve) => boolean;
}

export interface RunningTrial {
  /** Undefined where it was interrupted: it can be gone on with. Rejects with `ConfigError` for a mistake in the flags. */
  readonly ended: Promise<TrialRecord | undefined>;
  interrupt(): void;
}

export function runTrial({ trial, runDir, objective, env, isHopeless }: TrialOptions): RunningTrial {
  const startMs = performance.now();
  let numSeen = readCurve(runDir, objective).length;
  let isStopped = false;
  let isInterrupted = false;
  let problem: Error | undefined;
  const follow = () => {
    try {
      const curve = readCurve(runDir, objective);
      if (curve.length <= numSeen) return;
      numSeen = curve.length;
      if (curve.length === trial.epochs || !isHopeless(curve)) return;
      isStopped = true;
    } catch (error) {
      problem ??= error instanceof Error ? error : new Error(describeError(error));
    }
    child.interrupt();
  };
  const child = startTrialProcess(commandOf(trial, runDir), env, follow);
  const ended = child.ended.then((end) => {
    if (problem) throw problem;
    const status = statusOf(trial, end, isStopped);
    // Also where it was ended, as it took too long.
    if (status === 'failed' && isInterrupted) return undefined;
    if (status === undefined) return undefined;
    const curve = readCurve(runDir, objective);
    if (status === 'completed' && curve.length === 0) {
      throw new ConfigError(
        `trial ${trial.number}: ended without ${objective}: set an objective that the runs measure`,
      );
    }
    const result = readResult(runDir);
    const seconds = result?.seconds ?? (performance.now() - startMs) / 1000;
    return recordOf(trial, status, curve, seconds, status === 'failed' ? failureOf(end, result) : undefined);
  });
  return {
    ended,
    interrupt() {
      isInterrupted = true;
      child.interrupt();
    },
  };
}

/** A run that has begun is resumed, also where it has no checkpoint yet: it then begins again. */
function commandOf({ flags: { report = false, ...flags } }: Trial, runDir: string): string[] {
  // The sweep has a report of all; that of one run can be made afterwards.
  const noReport = report === true ? [] : ['--no-report'];
  if (existsSync(join(runDir, 'config.json'))) return ['baseline', '--resume', runDir, ...noReport];
  return [
    'baseline',
    ...argumentsOf({ keepCheckpoints: KEPT_CHECKPOINTS, ...flags }),
    ...noReport,
    '--run-dir',
    runDir,
  ];
}

function statusOf(trial: Trial, { code, words }: TrialEnd, isStopped: boolean): TrialRecord['status'] | undefined {
  if (code === EXIT.done) return 'completed';
  if (code === EXIT.usage) throw new ConfigError(`trial ${trial.number}: ${words}`);
  if (isStopped) return 'stopped';
  return code === EXIT.interrupted ? undefined : 'failed';
}

function recordOf(
  { number, varied, seed }: Trial,
  status: TrialRecord['status'],
  curve: Curve,
  seconds: number,
  failure: { reason: string; isFinal: boolean } | undefined,
): TrialRecord {
  const best = curve.length > 0 ? Math.max(...curve) : null;
  return {
    trial: number,
    status,
    isFinal: true,
    ...failure,
    flags: { ...varied },
    ...(seed !== undefined && { seed }),
    epochs: curve.length,
    last: curve.at(-1) ?? null,
    best,
    bestEpoch: best === null ? null : curve.indexOf(best) + 1,
    seconds: Math.round(seconds * 1000) / 1000,
  };
}

/** A run that diverges does so again; whatever else made one fail may be gone the next time. */
function failureOf({ words }: TrialEnd, result: RunResult | undefined): { reason: string; isFinal: boolean } {
  const { code, message } = result?.error ?? {};
  return { reason: message ?? words, isFinal: code === 'ERR_NOT_FINITE' };
}

function readResult(runDir: string): RunResult | undefined {
  const path = join(runDir, 'result.json');
  return existsSync(path) ? (readJsonFile(path, path) as RunResult) : undefined;
}
