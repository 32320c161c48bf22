/** Starts the live page: its store, its connection, and its drawing. */
import { render } from 'preact';
import { ChartDrawer } from '../components/chart.tsx';
import type { LivePageData } from '../page-data.ts';
import { hasEnded } from '../run-facts.ts';
import { App } from './app.tsx';
import { drawChart } from './canvas-chart.ts';
import { connect } from './connection.ts';
import { createStore } from './store.ts';

/** A hidden page has no frames: its updates are applied as seldom as this. */
const HIDDEN_MS = 1000;

export function startLive({ socket = 'live', home }: LivePageData, root: HTMLElement): void {
  const url = new URL(socket, document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  let viewKey = new URLSearchParams(location.hash.slice(1)).get('view') ?? undefined;
  const store = createStore({
    send: (message) => {
      connection.send(message);
    },
    nextFrame,
  });
  const connection = connect({
    url: url.href,
    viewKey: () => viewKey,
    hasEnded: () => {
      const state = store.view.peek()?.now.state;
      return state !== undefined && hasEnded(state);
    },
    onState: (state) => {
      store.connection.value = state;
    },
    onMessage: store.take,
  });
  window.addEventListener('online', () => connection.retry());
  const onKey = (key: string) => {
    viewKey = key;
    connection.retry();
  };
  // What the server wrote for browsers without scripts gives way.
  root.replaceChildren();
  render(
    <ChartDrawer.Provider value={drawChart}>
      <App
        store={store}
        home={home === undefined ? undefined : `${home}${location.hash}`}
        onKey={onKey}
        onRetry={() => connection.retry()}
      />
    </ChartDrawer.Provider>,
    root,
  );
}

/** Calls back once: with the next frame, or after a while without one. */
function nextFrame(callback: () => void): void {
  const once = () => {
    window.cancelAnimationFrame(frame);
    window.clearTimeout(timer);
    callback();
  };
  const frame = window.requestAnimationFrame(once);
  const timer = window.setTimeout(once, HIDDEN_MS);
}
