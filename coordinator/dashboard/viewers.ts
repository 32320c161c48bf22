/**
 * Viewers: the pages that look at a run, each over a WebSocket. They are sent the run's view, then its changes, once a second. However many there are, and whatever they send, the run pays a bounded price:
 *
 * - a view and its changes are made once for all of them;
 * - a page that does not take what it is sent misses updates, and gets the whole view when it is ready;
 * - a page that is one too many, sends too much, or sends what is no request is refused.
 */
import { randomBytes } from 'node:crypto';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { Confusion } from '../reporting/confusion.ts';
import type { PageSocket } from '../server/page-socket.ts';
import type { ViewRule } from '../server/view-access.ts';
import type { Control, FromPage, FromServer } from './page-messages.ts';
import { parseRequest, provesControl, provesView } from './page-requests.ts';
import type { RunView } from './run-view.ts';
import { updateBetween } from './view-update.ts';

/** A run that pages look at. */
export interface ViewedRun {
  /** What has not changed since the last call are the same objects, see `view-builder.ts`. */
  view(): RunView;
  /** The confusion matrix of an epoch; null where there is none. */
  confusion(epoch: number): Promise<Confusion | null>;
  /** PNGs as data URLs, of what the run evaluates; null where the data is not at hand. */
  images(indices: readonly number[]): Promise<readonly { readonly index: number; readonly url: string | null }[]>;
  /** Whose token is asked for; absent where there are no buttons. */
  readonly buttons?: Buttons | undefined;
}

export interface Buttons {
  readonly token: string;
  press(control: Control): { readonly ok: boolean; readonly text: string };
}

export interface ViewersOptions {
  readonly run: ViewedRun;
  readonly rule: ViewRule;
  /** Default: those of `LIMITS`. */
  readonly maxViewers?: number;
  readonly maxQueueBytes?: number;
  /** Time between updates. Default: 1,000. */
  readonly intervalMs?: number;
  /** The longest silence: a page that hears nothing for longer takes the connection for lost. Default: 5,000. */
  readonly silenceMs?: number;
}

export interface Viewers {
  /** Takes a page's connection; settles once it may look. */
  take(socket: PageSocket): Promise<void>;
  /** Sends what has changed last, and ends all connections. */
  close(): void;
}

interface Viewer {
  readonly socket: PageSocket;
  readonly nonce: string;
  isLooking: boolean;
  /** It has missed updates. */
  isBehind: boolean;
  /** Controls that it has sent. */
  numControls: number;
  /** Requests in the second that began at `secondMs`. */
  numRequests: number;
  secondMs: number;
}

/** A page that draws more often would take time from workers on its own machine. */
const INTERVAL_MS = 1000;
const SILENCE_MS = 5000;

export function createViewers(options: ViewersOptions): Viewers {
  const { run, rule, maxViewers = LIMITS.maxViewers, maxQueueBytes = LIMITS.viewerQueueBytes } = options;
  const { intervalMs = INTERVAL_MS, silenceMs = SILENCE_MS } = options;
  const viewers = new Set<Viewer>();
  let timer: NodeJS.Timeout | undefined;
  /** What all that are not behind have been sent. */
  let shown: RunView | undefined;
  let saidMs = performance.now();

  const update = () => {
    if (!shown) return;
    const next = run.view();
    const nowMs = performance.now();
    const change = updateBetween(shown, next) ?? (nowMs - saidMs >= silenceMs ? {} : undefined);
    if (change) saidMs = nowMs;
    shown = next;
    const text = change && JSON.stringify({ kind: 'update', update: change } satisfies FromServer);
    for (const viewer of viewers) {
      if (!viewer.isLooking) continue;
      if (viewer.socket.queuedBytes > maxQueueBytes) viewer.isBehind = true;
      else if (viewer.isBehind) showAll(viewer, next);
      else if (text !== undefined) viewer.socket.send(text);
    }
  };
  const showAll = (viewer: Viewer, view: RunView) => {
    viewer.isBehind = false;
    send(viewer, { kind: 'view', view });
  };
  const look = (viewer: Viewer) => {
    viewer.isLooking = true;
    // Those who look already are brought to the same view first.
    update();
    shown ??= run.view();
    showAll(viewer, shown);
    timer ??= setInterval(update, intervalMs);
  };
  const leave = (viewer: Viewer) => {
    viewers.delete(viewer);
    if ([...viewers].some(({ isLooking }) => isLooking)) return;
    clearInterval(timer);
    [timer, shown] = [undefined, undefined];
  };
  const answer = async (viewer: Viewer, request: Exclude<FromPage, { kind: 'look' }>): Promise<void> => {
    switch (request.kind) {
      case 'confusion': {
        const { epoch } = request;
        send(viewer, { kind: 'confusion', epoch, confusion: await orElse(null, () => run.confusion(epoch)) });
        return;
      }
      case 'images': {
        send(viewer, { kind: 'images', images: await imagesOf(run, request.indices) });
        return;
      }
      case 'control': {
        send(viewer, { kind: 'controlled', ...pressed(viewer, run.buttons, request) });
        return;
      }
    }
  };

  return {
    take(socket) {
      const viewer: Viewer = {
        ...{ socket, nonce: randomBytes(32).toString('hex') },
        ...{ isLooking: false, isBehind: false, numControls: 0, numRequests: 0, secondMs: 0 },
      };
      if (viewers.size >= maxViewers) {
        refuse(viewer, 'full', `${maxViewers} pages look at this run already: close one of them, then load this again`);
        return socket.closed;
      }
      viewers.add(viewer);
      const { nonce } = viewer;
      const mayNotLook = setTimeout(() => socket.close('refused'), LIMITS.handshakeMs);
      void socket.closed.then(() => {
        clearTimeout(mayNotLook);
        leave(viewer);
      });
      return new Promise((resolve) => {
        void socket.closed.then(resolve);
        socket.onText((text) => {
          if (!viewers.has(viewer)) return;
          const request = parseRequest(text);
          if (!request || isTooMuch(viewer) || (request.kind === 'look') === viewer.isLooking) {
            viewers.delete(viewer);
            refuse(viewer, 'message', 'this page sent what the coordinator does not expect: load it again');
            return;
          }
          if (request.kind !== 'look') return void answer(viewer, request);
          if (rule !== 'anyone' && !provesView(request.proof, rule.viewKey, nonce)) {
            viewers.delete(viewer);
            refuse(viewer, 'key', "expected the run's view key: it is in view-key, in the run's folder");
            return;
          }
          clearTimeout(mayNotLook);
          look(viewer);
          resolve();
        });
        send(viewer, { kind: 'hello', nonce, needsKey: rule !== 'anyone', canControl: run.buttons !== undefined });
      });
    },
    close() {
      update();
      clearInterval(timer);
      for (const { socket } of viewers) socket.close('over');
      [timer, shown] = [undefined, undefined];
    },
  };
}

function send({ socket }: Viewer, message: FromServer): void {
  socket.send(JSON.stringify(message));
}

function refuse(viewer: Viewer, reason: 'key' | 'full' | 'message', text: string): void {
  send(viewer, { kind: 'refused', reason, text });
  viewer.socket.close('refused');
}

/** Whether it has sent more requests in this second than a person causes. Counts one. */
function isTooMuch(viewer: Viewer): boolean {
  const nowMs = performance.now();
  if (nowMs - viewer.secondMs >= 1000) [viewer.secondMs, viewer.numRequests] = [nowMs, 0];
  return ++viewer.numRequests > LIMITS.messagesPerSecond;
}

async function imagesOf(run: ViewedRun, indices: readonly number[]) {
  const none = indices.map((index) => ({ index, url: null }));
  return orElse(none, () => run.images(indices));
}

/** What `work` resolves with, or `otherwise` where it throws or rejects: what a page asks for may not end the run. */
async function orElse<T>(otherwise: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch {
    return otherwise;
  }
}

/** Presses a button, where its token is proved; each proof counts once. */
function pressed(viewer: Viewer, buttons: Buttons | undefined, request: Extract<FromPage, { kind: 'control' }>) {
  const { control, count, proof } = request;
  if (!buttons) return { control, ok: false, text: 'this run has no buttons: it has no token, or is over' };
  const isNext = count === viewer.numControls + 1;
  viewer.numControls++;
  if (!isNext || !provesControl(proof, buttons.token, { control, nonce: viewer.nonce, count })) {
    return { control, ok: false, text: "that is not the run's token: it is in token, in the run's folder" };
  }
  return { control, ...buttons.press(control) };
}
