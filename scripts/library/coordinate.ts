/** A run at a port, from its options to its end: workers that join it, local ones, the join file, and workers that come too late. */
import { dirname, resolve } from 'node:path';
import { announceCompletion } from '../../coordinator/server/announce-completion.ts';
import type { AnnouncementOptions } from '../../coordinator/server/announce-completion.ts';
import type { SummonContext, WorkerSource } from '../../coordinator/run-options.ts';
import type { Entrance } from '../../coordinator/server/entrance.ts';
import { fileLimitWarning } from '../../coordinator/server/file-limit.ts';
import { isLoopback } from '../../coordinator/server/server.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import { checkEngine } from '../../worker/engines/choose-engine.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import type { PortFlags } from '../flags/commands.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import { workforceOf } from '../flags/worker-counts.ts';
import { packageVersion } from '../process.ts';
import { announceRun } from '../run/announce-run.ts';
import { joinFileText, removeJoinFile, writeJoinFile } from '../run/join-file.ts';
import type { LocalWorkers } from '../run/local-workers.ts';
import { runOptionsOf } from '../run/run-options.ts';
import { keepToken, keepViewKey } from '../run/token.ts';
import { pageUrlOf } from './dashboard.ts';
import { trainedRun } from './run.ts';
import type { SettledRun } from './run.ts';
import { joinPointOf } from './remote-labour.ts';
import type { RemoteLabour } from './remote-labour.ts';
import { openRunPort, planPort } from './run-port.ts';
import type { PortPlan, RunPort } from './run-port.ts';
import type { TrainedRun } from './trained-run.ts';
import { workInProcesses } from './workers.ts';
import type { LocalWork } from './workers.ts';

/** Local workers need no more than to start, find the data and build their engines. */
const LOCAL_JOIN_TIMEOUT_SECONDS = 120;

/** Why there is no ring with TLS. */
const ENCRYPTED = 'this run is encrypted, which links between the workers of a ring are not';

const LOCAL_ADDRESS = '127.0.0.1:0';

/** The engine of the model that the run hands back, where no worker of this machine has chosen one. */
const ANY_ENGINE: EngineFlags = { engine: 'auto', threads: 1 };

type RunAtPort = SettledRun<RunFlags & PortFlags & { readonly listen?: string }>;

export interface CoordinateOptions {
  readonly run: RunAtPort;
  /** The caller's token; false: there is to be none. Default: that of the flags, or a fresh one. */
  readonly token: string | false | undefined;
  readonly hasDashboard: boolean;
  /** Worker processes of this machine, and where they compute. Default: none. */
  readonly local?: LocalProcesses | undefined;
  /** Default: nobody is started elsewhere. */
  readonly remote?: RemoteLabour | undefined;
  /** See `PortOptions`. Default: false. */
  readonly farewell?: boolean | undefined;
}

interface LocalProcesses extends Pick<LocalWork, 'nameOf'> {
  readonly numWorkers: number;
  readonly flags: EngineFlags;
}

/**
 * Carries out a run with workers that join it; without `--listen`, the local ones alone. Its signal is aborted by the caller.
 * Rejects as `trainedRun`.
 */
export async function coordinate(given: CoordinateOptions): Promise<TrainedRun> {
  const { run, token, hasDashboard, local, remote, farewell } = given;
  const { flags } = run;
  const { listen, joinFile } = flags;
  const isOpen = listen !== undefined;
  const plan = planPort({ ...flags, listen: listen ?? LOCAL_ADDRESS }, token);
  const workforce = workforceOf(flags);
  const { numWorkers, maxWorkers = numWorkers } = workforce;
  const joinTimeoutSeconds = isOpen ? flags.joinTimeout : LOCAL_JOIN_TIMEOUT_SECONDS;
  const options = {
    ...(await runOptionsOf(flags, { ...run, workforce, joinTimeoutSeconds })),
    token: plan.token,
    program: packageVersion(),
    ringObstacle: plan.tls ? ENCRYPTED : remote?.ringObstacle,
  };
  const tooFewFiles = fileLimitWarning(maxWorkers);
  if (tooFewFiles !== undefined) options.warn(`warning: ${tooFewFiles}`);
  const port = await openRunPort(plan, {
    config: options.config,
    resumed: flags.resumed,
    command: run.command,
    numWorkers: maxWorkers,
    hasDashboard,
    hasMetrics: isOpen,
  });
  let workers: LocalWorkers | undefined;
  let hasListened = false;
  const say = { line: options.reporter.line, warn: options.warn };
  try {
    const trained = await trainedRun(
      {
        ...options,
        subscribers: [...(options.subscribers ?? []), ...port.subscribers],
        ...(port.dashboard && { control: port.dashboard.control }),
        ownsWorkers: !isOpen,
        lastLinesOf: (worker) => (workers ?? remote)?.lastLinesOf(worker) ?? [],
        async prepare() {
          if (local) await checkEngine(local.flags.engine, local.flags.device);
          // The run directory is made later, and with it the folder of a join file in it.
          const isInRun = flags.runDir !== undefined && dirname(resolve(joinFile ?? '')) === resolve(flags.runDir);
          if (joinFile !== undefined && !isInRun) checkFileFolder('--join-file', joinFile);
          await port.entrance.take();
        },
        async summonWorkers(context) {
          hasListened = true;
          const source = await openTo(context, { run, plan, port, numWorkers, ...say });
          if (local) workers = startLocal(context, { run, plan, port, local, ...say });
          const others = remote?.start(joinPointOf(plan, port.entrance), context.onFailure);
          return {
            async stop() {
              await Promise.all([workers?.stop(), others?.stop()]);
              await source.stop();
            },
          };
        },
      },
      local?.flags ?? ANY_ENGINE,
    );
    const isCompleted = trained.result.status === 'completed';
    const wasOverBefore = flags.resumed?.completed !== undefined;
    const wasOver = flags.resumed && (!wasOverBefore || farewell) && isCompleted && !hasListened;
    // A port that chance chose is not the one where workers wait, unless a join file tells them.
    const mayWait = plan.address.port !== 0 || (farewell && joinFile !== undefined);
    if (isOpen && wasOver && mayWait) {
      if (wasOverBefore) await port.entrance.take();
      const { joinUrls } = port.entrance;
      const joinText = joinFileText(joinUrlOf(joinUrls[0], plan.token), joinUrls.slice(1));
      if (farewell && joinFile !== undefined) await writeJoinFile(joinFile, joinText);
      // The local workers were not started.
      const numWaiting = Math.max(1, numWorkers - (local?.numWorkers ?? 0));
      const told = { token: plan.token, numWorkers: numWaiting, signal: options.signal };
      await tellWaitingWorkers(port.entrance, { ...told, ...say });
      if (farewell && joinFile !== undefined) await removeJoinFile(joinFile, joinText, say.warn);
    }
    return trained;
  } finally {
    await port.close();
  }
}

interface Opening {
  readonly run: RunAtPort;
  readonly plan: PortPlan;
  readonly port: RunPort;
  readonly line: (text: string) => void;
  readonly warn: (text: string) => void;
}

/** Lets workers in, and says where they join. */
async function openTo(
  context: SummonContext,
  { run, plan, port, numWorkers, line, warn }: Opening & { readonly numWorkers: number },
): Promise<WorkerSource> {
  const { membership, runDir } = context;
  const { flags, callbacks } = run;
  const { listen, joinFile } = flags;
  const { entrance, dashboard, viewKey } = port;
  const { token, tls, isTokenFresh, publicUrl } = plan;
  await dashboard?.begin(context);
  if (token !== undefined && runDir !== undefined && (listen !== undefined || dashboard))
    await keepToken(runDir, token);
  if (viewKey !== undefined && runDir !== undefined) await keepViewKey(runDir, viewKey);
  port.showHealth(() => ({ status: 'running', workers: membership.members.length }));
  entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
  const joinUrl = joinUrlOf(entrance.joinUrl, token);
  const joinText = joinFileText(joinUrl, entrance.joinUrls.slice(1));
  if (joinFile !== undefined) await writeJoinFile(joinFile, joinText);
  if (listen !== undefined) {
    if (!isLoopback(plan.address) && !tls) {
      line('warning: without --tls-cert, what is sent can be read on the way');
    }
    const where = { joinUrl, urls: entrance.joinUrls, port: entrance.port, numWorkers, token, isTokenFresh };
    callbacks.onEvent?.({ kind: 'listening', runDir, ...where, fingerprint: tls?.fingerprint });
  }
  if (dashboard) callbacks.onEvent?.({ kind: 'dashboard', url: pageUrlOf(entrance.joinUrl, publicUrl), viewKey });
  const announced = await announceRun(flags.discover, {
    runDir,
    port: entrance.port,
    urls: entrance.joinUrls,
    line,
    warn,
  });
  return {
    async stop() {
      await announced?.stop();
      if (joinFile !== undefined) await removeJoinFile(joinFile, joinText, warn);
      // Pages are told how the run has ended: they stay until then.
      await entrance.closeToWorkers();
    },
  };
}

/** Starts the worker processes of this machine. */
function startLocal(
  { onFailure }: SummonContext,
  { run, plan, port, local, line, warn }: Opening & { readonly local: NonNullable<CoordinateOptions['local']> },
): LocalWorkers {
  const { flags, samples, callbacks } = run;
  const isQuiet = callbacks.logger?.info === undefined;
  return workInProcesses(
    {
      numWorkers: local.numWorkers,
      nameOf: local.nameOf,
      joinUrl: port.entrance.localUrl,
      token: plan.token,
      fingerprint: plan.tls?.fingerprint,
      stepTimeoutMs: flags.stepTimeout * 1000,
      dataDir: flags.dataDir,
      keepsData: samples === undefined,
      isQuiet,
      log: isQuiet ? warn : line,
      onFailure,
    },
    local.flags,
  );
}

/** Of a run that was resumed after its last step: what it is has been recorded, and does not change if this fails. */
async function tellWaitingWorkers(
  entrance: Entrance,
  { line, ...announcement }: Omit<AnnouncementOptions, 'reason' | 'listen'> & { readonly line: (text: string) => void },
): Promise<void> {
  line('the run was over already: for a few seconds, workers that wait for it are told so');
  try {
    const numTold = await announceCompletion({
      ...announcement,
      reason: 'the run is completed',
      listen(admit) {
        entrance.open(admit);
        return Promise.resolve(entrance);
      },
    });
    line(`${numTold} of ${countOf(announcement.numWorkers, 'worker was', 'workers were')} told`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    announcement.warn(`workers that wait were not told: ${error.message}`);
  }
}
