/**
 * The server of `gradsock show`: pages over the runs of a folder, for those who may look. It only reads, it takes no
 * workers, and what it answers with is of runs that are in its list.
 */
import type { ServerResponse } from 'node:http';
import { contentSecurityPolicy, pageHtml } from '../../coordinator/dashboard/html.ts';
import type { FromServer } from '../../coordinator/dashboard/page-messages.ts';
import type { PageSocket } from '../../coordinator/server/page-socket.ts';
import type { PublicUrl } from '../../coordinator/server/public-url.ts';
import { startServer } from '../../coordinator/server/server.ts';
import type { ListenAddress, OnPageSocket, Page } from '../../coordinator/server/server.ts';
import type { AdvertisedAddress } from '../../coordinator/server/addresses.ts';
import { refuseView } from '../../coordinator/server/view-access.ts';
import type { ViewRule } from '../../coordinator/server/view-access.ts';
import { createRunImages } from './run-images.ts';
import { openRunListing } from './run-listing.ts';
import { createRunsViewers } from './runs-viewers.ts';
import { showRun } from './shown-run.ts';
import type { ShownRun } from './shown-run.ts';

export interface ShowOptions {
  /** A folder of run directories, or one run directory. */
  readonly folder: string;
  readonly address: ListenAddress;
  readonly rule: ViewRule;
  readonly advertised?: AdvertisedAddress | undefined;
  readonly publicUrl?: PublicUrl | undefined;
  /** Time between looks at a folder. Default: 1000. */
  readonly everyMs?: number;
}

export interface ShowServer {
  /** Addresses of the list, the likeliest first, without the key: "http://127.0.0.1:7879/". */
  readonly urls: readonly [string, ...string[]];
  /** On which it listens. */
  readonly port: number;
  /** Runs that were there at the start. */
  readonly numRuns: number;
  close(): Promise<void>;
}

const HEADERS = {
  'cache-control': 'no-store',
  'content-type': 'text/html; charset=utf-8',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Runs that are looked at at once. */
const MOST_RUNS_OPEN = 32;

/** Rejects with `ConfigError` where the folder cannot be read or the address cannot be had. */
export async function startShow({
  folder,
  address,
  rule,
  advertised,
  publicUrl,
  everyMs = 1000,
}: ShowOptions): Promise<ShowServer> {
  const listing = await openRunListing(folder);
  const { length: numRuns } = await listing.rows();
  const images = createRunImages();
  const lists = createRunsViewers({ listing, folder, rule, everyMs });
  const open = new Map<string, Promise<ShownRun | undefined>>();

  const leave = (name: string) => {
    const run = open.get(name);
    open.delete(name);
    void run?.then((shown) => shown?.close());
  };
  const openRun = async (name: string): Promise<ShownRun | undefined> => {
    const path = await listing.pathOf(name);
    return path === undefined ? undefined : showRun({ path, rule, images, everyMs, onIdle: () => leave(name) });
  };
  const takeRun = async (name: string, socket: PageSocket) => {
    if (!open.has(name) && open.size >= MOST_RUNS_OPEN) {
      return refuse(socket, 'full', `${MOST_RUNS_OPEN} runs are looked at already: close some of their pages`);
    }
    const opening = open.get(name) ?? openRun(name).catch(() => undefined);
    open.set(name, opening);
    const shown = await opening;
    if (shown) return shown.take(socket);
    leave(name);
    return refuse(socket, 'message', `there is no run ${JSON.stringify(name)} here, or it is gone`);
  };
  const pageSocketAt = (path: string): OnPageSocket | undefined => {
    if (path === '/live') return (socket) => lists.take(socket);
    const name = runNameIn(path, 'live');
    return (socket) =>
      name === undefined ? refuse(socket, 'message', 'there is no such page') : takeRun(name, socket);
  };
  const pageAt = (path: string): Page => {
    return (request, response, own) => {
      const refusal = refuseView(request, own, 'anyone');
      const parts = PAGES.get(path) ?? runPage(path);
      if (refusal) {
        const { status, reason, headers } = refusal;
        answer(response, status, `${reason}\n`, { ...headers, 'content-type': 'text/plain' });
      } else if (!parts) answer(response, 404, pageHtml({ title: 'not found', body: notFound(path) }));
      // Whether a run is there is told over the connection, to those who may know it.
      else answer(response, 200, request.method === 'HEAD' ? '' : pageHtml(parts));
    };
  };
  const server = await startServer(
    address,
    () => ({ status: 'showing', runs: numRuns }),
    // Workers find no run here.
    (transport) => transport.close(),
    {
      pages: { get: (path) => (path === '/healthz' ? undefined : pageAt(path)) },
      pageSockets: { get: pageSocketAt },
      advertised,
      publicUrl,
    },
  );
  return {
    urls: publicUrl
      ? [publicUrl.href]
      : (server.joinUrls.map((url) => `${url.replace(/^ws/, 'http')}/`) as [string, ...string[]]),
    port: server.port,
    numRuns,
    async close() {
      lists.close();
      for (const run of open.values()) (await run)?.close();
      await server.close();
      await images.close();
    },
  };
}

/** The way to the list is relative, as the server may be below a path of a proxy. */
const notFound = (path: string): string =>
  `<main><h1>There is no such page</h1><p><a href="./${'../'.repeat(path.split('/').length - 2)}">All runs</a></p></main>`;

const NO_SCRIPT =
  '<noscript><main><p>This page needs scripts: it is drawn in the browser. A run’s report.html does not.</p></main></noscript>';

const PAGES: ReadonlyMap<string, Parameters<typeof pageHtml>[0]> = new Map([
  ['/', { title: 'gradsock runs', data: { mode: 'runs' }, body: NO_SCRIPT }],
  ['/compare', { title: 'gradsock: runs side by side', data: { mode: 'compare' }, body: NO_SCRIPT }],
]);

function runPage(path: string): Parameters<typeof pageHtml>[0] | undefined {
  const name = runNameIn(path, '');
  return name === undefined ? undefined : { title: name, data: { mode: 'live', home: '../../' }, body: NO_SCRIPT };
}

/** NAME of `/runs/NAME/REST`, decoded; undefined of another path. */
function runNameIn(path: string, rest: string): string | undefined {
  const written = /^\/runs\/([^/]+)\/([^/]*)$/.exec(path);
  if (written?.[2] !== rest) return undefined;
  try {
    return decodeURIComponent(written[1]!);
  } catch {
    return undefined;
  }
}

function refuse(socket: PageSocket, reason: 'full' | 'message', text: string): Promise<void> {
  socket.send(JSON.stringify({ kind: 'refused', reason, text } satisfies FromServer));
  socket.close('refused');
  return socket.closed;
}

function answer(
  response: ServerResponse,
  status: number,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...HEADERS, 'content-security-policy': contentSecurityPolicy(), ...more });
  response.end(body);
}
