/** A coordinator's run from its options to its end: the port, the token, the join file, and workers that come too late. */
import { Command } from 'commander';
import { parseAdvertised } from '../../coordinator/server/addresses.ts';
import { announceCompletion } from '../../coordinator/server/announce-completion.ts';
import type { AnnouncementOptions } from '../../coordinator/server/announce-completion.ts';
import type { ServerRefusal } from '../../coordinator/reporting/reported-event.ts';
import { createEntrance } from '../../coordinator/server/entrance.ts';
import type { Entrance } from '../../coordinator/server/entrance.ts';
import { parsePublicUrl } from '../../coordinator/server/public-url.ts';
import { isLoopback, parseListenAddress, startServer } from '../../coordinator/server/server.ts';
import { textPage } from '../../coordinator/server/text-page.ts';
import { needsViewKey, viewKeyOf } from '../../coordinator/server/view-access.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { addCoordinatorFlags } from '../flags/commands.ts';
import type { CoordinatorFlags } from '../flags/commands.ts';
import { packageVersion } from '../process.ts';
import { removeJoinFile, writeJoinFile } from '../run/join-file.ts';
import { runOptionsOf } from '../run/run-options.ts';
import { readServerTls } from '../run/tls-files.ts';
import { checkToken, keepToken, keepViewKey, runToken, tokenInFile } from '../run/token.ts';
import type { CoordinatorOptions } from './options.ts';
import { openRunDashboard, pageUrlOf } from './dashboard.ts';
import { settleRun, trainedRun } from './run.ts';
import type { TrainedRun } from './trained-run.ts';

/** Carries out a run with workers that join it. Its signal is aborted by the caller. Rejects as `trainedRun`. */
export async function coordinate(options: CoordinatorOptions): Promise<TrainedRun> {
  const { token: givenToken, dashboard: hasDashboard = false, ...others } = options;
  const named = { ...others, dashboard: hasDashboard };
  const run = settleRun<CoordinatorFlags>(addCoordinatorFlags(new Command('coordinator')), named);
  const { flags, callbacks } = run;
  const { joinFile } = flags;
  const address = parseListenAddress(flags.listen);
  if (givenToken === false && !isLoopback(address)) {
    throw new ConfigError(
      `--no-token with --listen ${flags.listen}: expected a loopback address: leave out one of them`,
    );
  }
  const advertised = flags.advertise === undefined ? undefined : parseAdvertised(flags.advertise);
  const publicUrl = flags.publicUrl === undefined ? undefined : parsePublicUrl(flags.publicUrl);
  const secret = givenToken === false ? undefined : runToken(tokenOf(givenToken, flags), flags.resumed?.path);
  const token = secret?.token;
  const tls = readServerTls(flags);
  const ringObstacle = tls && 'this run is encrypted, which links between the workers of a ring are not';
  const numWorkers = flags.workers;
  const setting = { ...run, numWorkers, joinTimeoutSeconds: flags.joinTimeout };
  const runOptions = { ...(await runOptionsOf(flags, setting)), token, ringObstacle };
  const { reporter, warn } = runOptions;
  let health: () => object = () => ({ status: 'completed', workers: 0 });
  // Loaded with a coordinator alone: it takes time.
  const { createPrometheus } = await import('../../coordinator/reporting/prometheus.ts');
  const prometheus = createPrometheus({ version: packageVersion(), node: process.version });
  const viewKey = needsViewKey(address, publicUrl) && token !== undefined ? viewKeyOf(token) : undefined;
  const rule = viewKey === undefined ? 'anyone' : { viewKey };
  const { config } = runOptions;
  const { command } = run;
  const dashboard = hasDashboard
    ? await openRunDashboard({ config, rule, token, command, resumed: flags.resumed })
    : undefined;
  const pages = new Map([...(dashboard?.pages ?? []), ['/metrics', textPage({ ...prometheus, rule })] as const]);
  const onRefused = (reason: ServerRefusal) => prometheus.reporter.onEvent?.({ kind: 'refused', reason });
  const serving = { tls, advertised, publicUrl, numWorkers, pages, pageSockets: dashboard?.pageSockets, onRefused };
  const entrance = createEntrance((admit) => startServer(address, () => health(), admit, serving));
  let hasListened = false;
  try {
    const engine = { engine: 'auto', threads: 1 };
    const trained = await trainedRun(
      {
        ...runOptions,
        subscribers: [
          ...(runOptions.subscribers ?? []),
          prometheus.reporter,
          ...(dashboard ? [dashboard.subscriber] : []),
        ],
        ...(dashboard && { control: dashboard.control }),
        async prepare() {
          if (joinFile !== undefined) checkFileFolder('--join-file', joinFile);
          await entrance.take();
        },
        async summonWorkers(context) {
          const { membership, runDir } = context;
          hasListened = true;
          await dashboard?.begin(context);
          if (token !== undefined && runDir !== undefined) await keepToken(runDir, token);
          if (viewKey !== undefined && runDir !== undefined) await keepViewKey(runDir, viewKey);
          health = () => ({ status: 'running', workers: membership.members.length });
          entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
          const joinUrl = joinUrlOf(entrance.joinUrl, token);
          if (joinFile !== undefined) await writeJoinFile(joinFile, joinUrl);
          if (!isLoopback(address) && !tls) {
            reporter.line('warning: without --tls-cert, what is sent can be read on the way');
          }
          const { joinUrls: urls, port } = entrance;
          const isTokenFresh = secret?.isFresh === true;
          const where = { joinUrl, urls, port, numWorkers, token, isTokenFresh, fingerprint: tls?.fingerprint };
          callbacks.onEvent?.({ kind: 'listening', runDir, ...where });
          if (dashboard)
            callbacks.onEvent?.({ kind: 'dashboard', url: pageUrlOf(entrance.joinUrl, publicUrl), viewKey });
          return {
            async stop() {
              if (joinFile !== undefined) await removeJoinFile(joinFile, joinUrl, warn);
              // Pages are told how the run has ended: they stay until then.
              await entrance.closeToWorkers();
            },
          };
        },
      },
      engine,
    );
    const isCompleted = trained.result.status === 'completed';
    const wasOver = flags.resumed && !flags.resumed.completed && isCompleted && !hasListened;
    // A port that chance chose is not the one where workers wait.
    if (wasOver && address.port !== 0) {
      const { signal } = runOptions;
      await tellWaitingWorkers(entrance, { token, numWorkers, signal, line: reporter.line, warn });
    }
    return trained;
  } finally {
    dashboard?.close();
    await entrance.close();
  }
}

/** The caller's token: in the options, or in the file that they name. */
function tokenOf(token: string | undefined, flags: CoordinatorFlags): string | undefined {
  return token === undefined ? tokenInFile(flags) : checkToken(token, 'token');
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
