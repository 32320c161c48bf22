/** Training with workers on this machine, in this process or in processes of their own, and with those that join them. */
import { Command } from 'commander';
import { checkEngine } from '../../worker/engines/choose-engine.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { addBaselineFlags, addTrainFlags, OF_LISTENING } from '../flags/commands.ts';
import type { BaselineFlags, TrainFlags } from '../flags/commands.ts';
import { workforceOf } from '../flags/worker-counts.ts';
import { runOptionsOf } from '../run/run-options.ts';
import { coordinate } from './coordinate.ts';
import type { TrainOptions } from './options.ts';
import { settleRun, trainedRun } from './run.ts';
import type { SettledRun } from './run.ts';
import type { TrainedRun } from './trained-run.ts';
import { workInProcess } from './workers.ts';

/** Nobody is waited for: the worker is this process. */
const JOIN_TIMEOUT_SECONDS = 120;

/**
 * Trains a model, and resolves with what became of it: completed, interrupted by the signal, or failed, as its result says.
 * Nothing is written to the terminal; only with `runDir` is anything written to disk. Datasets by name or path are kept in
 * the user's cache.
 *
 * Rejects with `ConfigError` for options that are wrong and for data that is not sound, with the signal's reason where it is
 * aborted before the run begins, and with what a callback throws.
 */
export async function train(options: TrainOptions = {}): Promise<TrainedRun> {
  options.signal?.throwIfAborted();
  const { workers, token, dashboard = false, farewell, nameWorker, ...others } = options;
  if (workers === undefined) {
    if (options.listen !== undefined) {
      throw new ConfigError(`listen ${options.listen}: expected workers with it: give workers, a number or 'auto'`);
    }
    return trainInProcess(settleRun(addBaselineFlags(new Command('train')), others));
  }
  checkPort(options);
  const named = { ...others, dashboard, ...(workers !== 'auto' && { workers }) };
  const run = settleRun<TrainFlags>(addTrainFlags(new Command('train')), named);
  const { flags } = run;
  if (flags.listen === undefined && workforceOf(flags).numWorkers > flags.workers) {
    throw new ConfigError(
      `--min-workers ${flags.minWorkers} with --workers ${flags.workers}: expected --listen HOST:PORT, where the other ` +
        'workers join: add that, or more --workers',
    );
  }
  return coordinate({
    run,
    token,
    hasDashboard: dashboard,
    local: { numWorkers: flags.workers, nameOf: nameWorker, flags },
    farewell,
  });
}

/** Throws `ConfigError` for options of a port where there is none. */
function checkPort(options: TrainOptions): void {
  if (options.listen !== undefined) return;
  const ofPort = OF_LISTENING.find((name) => name !== 'token' && options[name] !== undefined);
  if (ofPort === undefined && options.token !== false) return;
  throw new ConfigError(
    `${ofPort ?? 'token'}: expected listen with it, an address at which workers of other machines join: give both or none`,
  );
}

/** Single-node: the same loop, with one worker session in this process and no sockets. */
async function trainInProcess(run: SettledRun<BaselineFlags>): Promise<TrainedRun> {
  const { flags } = run;
  const workforce = workforceOf({ workers: 1 });
  const options = await runOptionsOf(flags, { ...run, workforce, joinTimeoutSeconds: JOIN_TIMEOUT_SECONDS });
  const { vectorMath, reporter, warn } = options;
  return trainedRun(
    {
      ...options,
      ownsWorkers: true,
      prepare: () => checkEngine(flags.engine, flags.device),
      summonWorkers: (context) =>
        Promise.resolve(workInProcess(context, flags, { vectorMath, log: reporter.line, warn })),
    },
    flags,
  );
}
