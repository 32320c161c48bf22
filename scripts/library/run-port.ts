/** The port of a run: who may join there, with what it is encrypted, and the pages that it serves. */
import { parseAdvertised } from '../../coordinator/server/addresses.ts';
import { createEntrance } from '../../coordinator/server/entrance.ts';
import type { Entrance } from '../../coordinator/server/entrance.ts';
import { parsePublicUrl } from '../../coordinator/server/public-url.ts';
import type { PublicUrl } from '../../coordinator/server/public-url.ts';
import { isLoopback, parseListenAddress, startServer } from '../../coordinator/server/server.ts';
import type { ListenAddress, Page, ServerTls } from '../../coordinator/server/server.ts';
import { textPage } from '../../coordinator/server/text-page.ts';
import { needsViewKey, viewKeyOf } from '../../coordinator/server/view-access.ts';
import type { ViewRule } from '../../coordinator/server/view-access.ts';
import type { Reporter } from '../../coordinator/reporting/reporter.ts';
import type { RunOptions } from '../../coordinator/run-options.ts';
import type { RecordedRun } from '../../coordinator/run-directory/resume.ts';
import { ConfigError } from '../../protocol/errors.ts';
import type { PortFlags } from '../flags/commands.ts';
import { packageVersion } from '../process.ts';
import { readServerTls } from '../run/tls-files.ts';
import { checkToken, runToken, tokenInFile } from '../run/token.ts';
import { openRunDashboard } from './dashboard.ts';
import type { RunDashboard } from './dashboard.ts';

/** What the flags say about a port, checked. */
export interface PortPlan {
  readonly address: ListenAddress;
  readonly advertised: ReturnType<typeof parseAdvertised> | undefined;
  readonly publicUrl: PublicUrl | undefined;
  readonly tls: (ServerTls & { readonly fingerprint: string }) | undefined;
  /** Undefined of a run that lets everyone in. */
  readonly token: string | undefined;
  /** Made just now: nobody else knows it yet. */
  readonly isTokenFresh: boolean;
}

/**
 * Reads what the flags name: the token's file, the certificate. `token`: the caller's; false: there is to be none.
 *
 * Throws `ConfigError` for flags that are wrong, and for a run without a token that other machines can reach.
 */
export function planPort(
  flags: PortFlags & { readonly listen: string; readonly resumed?: RecordedRun },
  token: string | false | undefined,
): PortPlan {
  const address = parseListenAddress(flags.listen);
  if (token === false && !isLoopback(address)) {
    throw new ConfigError(
      `--no-token with --listen ${flags.listen}: expected a loopback address: leave out one of them`,
    );
  }
  const advertised = flags.advertise === undefined ? undefined : parseAdvertised(flags.advertise);
  const publicUrl = flags.publicUrl === undefined ? undefined : parsePublicUrl(flags.publicUrl);
  const given = typeof token === 'string' ? checkToken(token, 'token') : tokenInFile(flags);
  const secret = token === false ? undefined : runToken(given, flags.resumed?.path);
  const tls = readServerTls(flags);
  return { address, advertised, publicUrl, tls, token: secret?.token, isTokenFresh: secret?.isFresh === true };
}

/** The port of a run that is about to begin. It is taken by its entrance, and not before. */
export interface RunPort {
  readonly entrance: Entrance;
  /** What people must know who look at the pages, if they must. */
  readonly viewKey: string | undefined;
  readonly dashboard: RunDashboard | undefined;
  /** Who hears of the run for the pages' sake. */
  readonly subscribers: readonly Reporter[];
  /** What `/healthz` says from now on. */
  showHealth(health: () => object): void;
  close(): Promise<void>;
}

export interface RunPortOptions extends Pick<RunOptions, 'config' | 'resumed'> {
  /** The command line that began the run, where one did. */
  readonly command: string | undefined;
  /** Workers of the run: that many connections are expected besides strangers'. */
  readonly numWorkers: number;
  readonly hasDashboard: boolean;
  /** Whether figures for Prometheus are served. */
  readonly hasMetrics: boolean;
}

/** Prepares the port's pages. What a run does not serve is not loaded: it takes time. */
export async function openRunPort(plan: PortPlan, options: RunPortOptions): Promise<RunPort> {
  const { address, advertised, publicUrl, tls, token } = plan;
  const { hasDashboard, hasMetrics, numWorkers, ...run } = options;
  let health: () => object = () => ({ status: 'completed', workers: 0 });
  const viewKey = needsViewKey(address, publicUrl) && token !== undefined ? viewKeyOf(token) : undefined;
  const rule: ViewRule = viewKey === undefined ? 'anyone' : { viewKey };
  const metrics = hasMetrics ? await openMetrics(rule) : undefined;
  const dashboard = hasDashboard ? await openRunDashboard({ ...run, rule, token }) : undefined;
  const entrance = createEntrance((admit) =>
    startServer(address, () => health(), admit, {
      ...{ tls, advertised, publicUrl, numWorkers },
      pages: new Map([...(dashboard?.pages ?? []), ...(metrics?.pages ?? [])]),
      pageSockets: dashboard?.pageSockets,
      onRefused: (reason) => metrics?.reporter.onEvent?.({ kind: 'refused', reason }),
    }),
  );
  return {
    entrance,
    viewKey,
    dashboard,
    subscribers: [...(metrics ? [metrics.reporter] : []), ...(dashboard ? [dashboard.subscriber] : [])],
    showHealth: (next) => void (health = next),
    async close() {
      dashboard?.close();
      await entrance.close();
    },
  };
}

async function openMetrics(rule: ViewRule): Promise<{ reporter: Reporter; pages: ReadonlyMap<string, Page> }> {
  const { createPrometheus } = await import('../../coordinator/reporting/prometheus.ts');
  const prometheus = createPrometheus({ version: packageVersion(), node: process.version });
  return { reporter: prometheus.reporter, pages: new Map([['/metrics', textPage({ ...prometheus, rule })]]) };
}
