/** The sweep: its trials several at a time, those without hope stopped early, and each recorded when it has ended. */
import { setMaxListeners } from 'node:events';
import { readCurve } from './curve.ts';
import type { SweepDirectory, TrialRecord } from './directory.ts';
import { writtenName } from './flags.ts';
import type { Flags } from './flags.ts';
import { isBelowMedian } from './median-rule.ts';
import type { Curve } from './median-rule.ts';
import { runTrial } from './run-trial.ts';
import type { RunningTrial } from './run-trial.ts';
import type { SweepSpec } from './spec.ts';
import type { SweepPlan, Trial } from './trials.ts';
import { countOf } from '../../protocol/counts.ts';

export interface SweepOptions {
  readonly spec: Pick<SweepSpec, 'stopEarly'>;
  readonly plan: SweepPlan;
  readonly directory: SweepDirectory;
  /** Trials at a time. */
  readonly parallel: number;
  readonly env: NodeJS.ProcessEnv;
  /** Aborted by the user: trials end after their step at hand. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Runs what has not been run. Resolves when all trials have their record, or, interrupted, when none runs any more.
 *
 * Rejects with the first error that is not a trial's own, such as a flag that only the run itself could refuse; the
 * others are then interrupted before.
 */
export async function runSweep(options: SweepOptions): Promise<void> {
  const { plan, directory, parallel, say } = options;
  const isDone = ({ number }: Trial) => directory.records.get(number)?.isFinal === true;
  const waiting = plan.trials.filter((trial) => !isDone(trial));
  if (waiting.length < plan.trials.length) {
    say(
      `${directory.path}: ${plan.trials.length - waiting.length} of ${countOf(plan.trials.length, 'trial is', 'trials are')} done already`,
    );
  }
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const running = new Set<RunningTrial>();
  setMaxListeners(0, signal);
  signal.addEventListener('abort', () => {
    for (const trial of running) trial.interrupt();
  });
  const lane = async () => {
    for (let next = waiting.shift(); next && !signal.aborted; next = waiting.shift())
      await carryOut(next, options, running);
  };
  const lanes = Array.from({ length: parallel }, () =>
    lane().catch((error: unknown) => {
      failure.abort(error);
    }),
  );
  await Promise.all(lanes);
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function carryOut(trial: Trial, options: SweepOptions, running: Set<RunningTrial>): Promise<void> {
  const { spec, plan, directory, env, say } = options;
  const { objective, trials } = plan;
  const others = (): Curve[] =>
    trials
      .filter(({ number }) => number !== trial.number)
      .map(({ number }) => readCurve(directory.trialPath(number), objective));
  const started = runTrial({
    trial,
    runDir: directory.trialPath(trial.number),
    objective,
    env,
    isHopeless: (curve) => spec.stopEarly !== false && isBelowMedian(curve, others(), spec.stopEarly),
  });
  running.add(started);
  say(`trial ${trial.number} of ${trials.length}: ${describeFlags(trial)}`);
  const record = await started.ended.finally(() => running.delete(started));
  if (!record) return;
  await directory.append(record);
  say(`trial ${trial.number}: ${describeRecord(record, objective)}`);
}

function describeFlags({ varied, seed }: Trial): string {
  const all: Flags = seed === undefined ? varied : { ...varied, seed };
  return Object.entries(all)
    .map(([name, value]) => `${writtenName(name)} ${value}`)
    .join(', ');
}

function describeRecord(
  { status, reason, last, best, bestEpoch, epochs, seconds }: TrialRecord,
  objective: string,
): string {
  const values =
    last === null ? '' : `, ${objective} ${last.toFixed(4)}, best ${best!.toFixed(4)} at epoch ${bestEpoch!}`;
  const how = reason === undefined ? status : `${status}: ${reason}`;
  return `${how}${values}, ${countOf(epochs, 'epoch')} in ${seconds.toFixed(1)} s`;
}
