/**
 * Pages that look at the runs of a folder: the list, which is sent whole when it has changed, and comparisons of some of
 * them. The folder is looked at as long as anybody looks, and what is found serves all.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { provesView } from '../../coordinator/dashboard/page-requests.ts';
import { MOST_COMPARED } from '../../coordinator/dashboard/runs-messages.ts';
import type { FromRunsServer } from '../../coordinator/dashboard/runs-messages.ts';
import type { PageSocket } from '../../coordinator/server/page-socket.ts';
import type { ViewRule } from '../../coordinator/server/view-access.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { compareRuns } from './comparison.ts';
import type { RunListing } from './run-listing.ts';

export interface RunsViewersOptions {
  readonly listing: RunListing;
  /** As it was given, for people. */
  readonly folder: string;
  readonly rule: ViewRule;
  /** Time between looks at the folder. */
  readonly everyMs: number;
  /** Default: that of `LIMITS`. */
  readonly maxViewers?: number;
  /** The longest silence. Default: 5,000. */
  readonly silenceMs?: number;
}

export interface RunsViewers {
  /** Takes a page's connection; settles once it may look. */
  take(socket: PageSocket): Promise<void>;
  close(): void;
}

const requestSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('look'), proof: z.string().optional() }),
  z.strictObject({ kind: z.literal('compare'), runs: z.array(z.string()).max(MOST_COMPARED) }),
]);

interface Viewer {
  readonly socket: PageSocket;
  isLooking: boolean;
  /** The list, or the comparison, that it was sent last. */
  shown: string;
  /** When it was sent anything last. */
  saidMs: number;
  /** Names of the runs that it compares; undefined where it looks at the list. */
  compared: readonly string[] | undefined;
}

export function createRunsViewers(options: RunsViewersOptions): RunsViewers {
  const { listing, folder, rule, everyMs, maxViewers = LIMITS.maxViewers, silenceMs = 5000 } = options;
  const viewers = new Set<Viewer>();
  let timer: NodeJS.Timeout | undefined;
  let isOpen = true;

  const messageFor = async ({ compared }: Viewer): Promise<FromRunsServer> => {
    if (!compared) return { kind: 'runs', folder, runs: await listing.rows() };
    const named = [];
    for (const name of new Set(compared)) {
      const path = await listing.pathOf(name);
      if (path !== undefined) named.push({ name, path });
    }
    return { kind: 'comparison', comparison: await compareRuns(named) };
  };
  const show = async () => {
    const made = new Map<string, Promise<string>>();
    for (const viewer of viewers) {
      if (!viewer.isLooking || viewer.socket.queuedBytes > LIMITS.viewerQueueBytes) continue;
      const key = JSON.stringify(viewer.compared ?? null);
      const text = made.get(key) ?? messageFor(viewer).then((message) => JSON.stringify(message));
      made.set(key, text);
      const message = await text;
      const nowMs = performance.now();
      const isNew = message !== viewer.shown;
      if (!isNew && nowMs - viewer.saidMs < silenceMs) continue;
      viewer.saidMs = nowMs;
      viewer.shown = message;
      if (isNew) viewer.socket.send(message);
      else send(viewer.socket, { kind: 'alive' });
    }
  };
  let showing: Promise<void> = Promise.resolve();
  const showSoon = () => {
    clearTimeout(timer);
    showing = showing.then(show).catch(() => {});
    void showing.then(() => {
      clearTimeout(timer);
      if (isOpen && viewers.size > 0) timer = setTimeout(showSoon, everyMs);
    });
  };
  const refuse = (viewer: Viewer, reason: 'key' | 'full' | 'message', text: string) => {
    viewers.delete(viewer);
    send(viewer.socket, { kind: 'refused', reason, text });
    viewer.socket.close('refused');
  };

  return {
    take(socket) {
      const viewer: Viewer = { socket, isLooking: false, shown: '', saidMs: 0, compared: undefined };
      if (viewers.size >= maxViewers) {
        refuse(viewer, 'full', `${maxViewers} pages are open already: close one of them, then load this again`);
        return socket.closed;
      }
      viewers.add(viewer);
      const nonce = randomBytes(32).toString('hex');
      const mayNotLook = setTimeout(() => socket.close('refused'), LIMITS.handshakeMs);
      void socket.closed.then(() => {
        clearTimeout(mayNotLook);
        viewers.delete(viewer);
      });
      return new Promise((resolve) => {
        void socket.closed.then(resolve);
        socket.onText((text) => {
          if (!viewers.has(viewer)) return;
          const request = parse(text);
          // First to look, then at most to choose once what is compared: a page that wants more is loaded again.
          const isExpected = request?.kind === (viewer.isLooking ? 'compare' : 'look') && !viewer.compared;
          if (!isExpected) {
            refuse(viewer, 'message', 'this page sent what the server does not expect: load it again');
            return;
          }
          if (request.kind === 'compare') {
            viewer.compared = request.runs;
          } else {
            if (rule !== 'anyone' && !provesView(request.proof, rule.viewKey, nonce)) {
              refuse(viewer, 'key', 'expected the view key: it is in the link that gradsock show has printed');
              return;
            }
            clearTimeout(mayNotLook);
            viewer.isLooking = true;
            resolve();
          }
          showSoon();
        });
        send(socket, { kind: 'hello', nonce, needsKey: rule !== 'anyone', canControl: false });
      });
    },
    close() {
      isOpen = false;
      clearTimeout(timer);
      for (const { socket } of viewers) socket.close('over');
    },
  };
}

function send(socket: PageSocket, message: FromRunsServer): void {
  socket.send(JSON.stringify(message));
}

function parse(text: string): z.infer<typeof requestSchema> | undefined {
  try {
    return requestSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
