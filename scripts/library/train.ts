/** Training with workers on this machine: in this process, or in processes of their own. */
import { Command } from 'commander';
import { createEntrance } from '../../coordinator/server/entrance.ts';
import { startServer } from '../../coordinator/server/server.ts';
import { checkEngine } from '../../worker/engines/choose-engine.ts';
import { addBaselineFlags, addTrainFlags } from '../flags/commands.ts';
import type { BaselineFlags, TrainFlags } from '../flags/commands.ts';
import { runOptionsOf } from '../run/run-options.ts';
import { checkToken, keepToken, runToken } from '../run/token.ts';
import type { TrainOptions } from './options.ts';
import { openRunDashboard, pageUrlOf } from './dashboard.ts';
import { settleRun, trainedRun } from './run.ts';
import type { SettledRun } from './run.ts';
import type { TrainedRun } from './trained-run.ts';
import { workInProcess, workInProcesses } from './workers.ts';

/** Local workers need no more than to start, find the data and build their engines. */
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
  const { workers, token, dashboard = false, ...others } = options;
  if (workers === undefined) return trainInProcess(settleRun(addBaselineFlags(new Command('train')), others));
  const named = { ...others, dashboard, ...(workers !== 'auto' && { workers }) };
  return trainInProcesses(settleRun(addTrainFlags(new Command('train')), named), token);
}

/** Single-node: the same loop, with one worker session in this process and no sockets. */
async function trainInProcess(run: SettledRun<BaselineFlags>): Promise<TrainedRun> {
  const { flags } = run;
  const options = await runOptionsOf(flags, { ...run, numWorkers: 1, joinTimeoutSeconds: JOIN_TIMEOUT_SECONDS });
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

/** A coordinator in this process, and workers that join it through a port of this machine. */
async function trainInProcesses(run: SettledRun<TrainFlags>, givenToken: string | undefined): Promise<TrainedRun> {
  const { flags, callbacks } = run;
  const { token } = runToken(givenToken === undefined ? undefined : checkToken(givenToken, 'token'));
  const numWorkers = flags.workers;
  const setting = { ...run, numWorkers, joinTimeoutSeconds: JOIN_TIMEOUT_SECONDS };
  const options = { ...(await runOptionsOf(flags, setting)), token };
  const isQuiet = callbacks.logger?.info === undefined;
  let numMembers = () => 0;
  let lastLinesOf: (worker: string) => readonly string[] = () => [];
  const health = () => ({ status: 'running', workers: numMembers() });
  const { config } = options;
  const dashboard = flags.dashboard
    ? await openRunDashboard({ config, token, rule: 'anyone', command: run.command, resumed: flags.resumed })
    : undefined;
  const address = { host: '127.0.0.1', port: 0 };
  const serving = { numWorkers, ...(dashboard && { pages: dashboard.pages, pageSockets: dashboard.pageSockets }) };
  const entrance = createEntrance((admit) => startServer(address, health, admit, serving));
  return trainedRun(
    {
      ...options,
      ...(dashboard && { control: dashboard.control }),
      subscribers: [...(options.subscribers ?? []), ...(dashboard ? [dashboard.subscriber] : [])],
      ownsWorkers: true,
      lastLinesOf: (worker) => lastLinesOf(worker),
      async prepare() {
        await checkEngine(flags.engine, flags.device);
        await entrance.take();
      },
      async summonWorkers(context) {
        const { membership, onFailure, runDir } = context;
        if (dashboard) {
          await dashboard.begin(context);
          if (runDir !== undefined) await keepToken(runDir, token);
          callbacks.onEvent?.({ kind: 'dashboard', url: pageUrlOf(entrance.joinUrl), viewKey: undefined });
        }
        numMembers = () => membership.members.length;
        entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
        const work = {
          numWorkers,
          joinUrl: entrance.joinUrl,
          token,
          stepTimeoutMs: options.config.stepTimeoutSeconds * 1000,
          dataDir: flags.dataDir,
          keepsData: run.samples === undefined,
          isQuiet,
          log: isQuiet ? options.warn : options.reporter.line,
          onFailure,
        };
        const workers = workInProcesses(work, flags);
        lastLinesOf = (worker) => workers.lastLinesOf(worker);
        return { stop: () => workers.stop() };
      },
    },
    flags,
  ).finally(() => {
    dashboard?.close();
    return entrance.close();
  });
}
