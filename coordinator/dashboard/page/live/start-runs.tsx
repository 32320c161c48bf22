/** Starts the pages over a folder of runs: the list, and the comparison of some of them. */
import { signal } from '@preact/signals';
import { render } from 'preact';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Comparison, FromRunsServer } from '../../runs-messages.ts';
import { ChartDrawer } from '../components/chart.tsx';
import { ComparisonPage } from '../components/comparison-page.tsx';
import { RunList } from '../components/run-list.tsx';
import type { ComparisonAxis } from '../comparison-charts.ts';
import type { RunsPageData } from '../page-data.ts';
import { drawChart } from './canvas-chart.ts';
import { connect } from './connection.ts';
import type { ConnectionState } from './connection.ts';
import { KeyForm } from './key-form.tsx';
import { statusOf } from './status-text.ts';
import { ThemeToggle } from './theme-toggle.tsx';

type Shown = Extract<FromRunsServer, { kind: 'runs' | 'comparison' }>;

export function startRuns({ mode }: RunsPageData, root: HTMLElement): void {
  const url = new URL('live', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = url.search = '';
  const connection = signal<ConnectionState>({ kind: 'connecting' });
  const shown = signal<Shown | undefined>(undefined);
  const heardAt = signal(0);
  let viewKey = new URLSearchParams(location.hash.slice(1)).get('view') ?? undefined;
  const compared = (new URLSearchParams(location.search).get('runs') ?? '').split(',').filter(Boolean);
  const server = connect<FromRunsServer, { kind: 'compare'; runs: readonly string[] }>({
    url: url.href,
    viewKey: () => viewKey,
    hasEnded: () => false,
    onState: (state) => {
      connection.value = state;
    },
    onMessage(message) {
      heardAt.value = Date.now();
      if (message.kind === 'runs' && mode === 'compare')
        server.send({ kind: 'compare', runs: compared.map(decodeURIComponent) });
      else if (message.kind === 'runs' || message.kind === 'comparison') shown.value = message;
    },
  });
  window.addEventListener('online', () => server.retry());
  const onKey = (key: string) => {
    viewKey = key;
    // For the other pages, whose links keep it.
    history.replaceState(null, '', `${location.search}#view=${encodeURIComponent(key)}`);
    server.retry();
  };

  const App = () => {
    const state = connection.value;
    const found = shown.value;
    return (
      <RunsFrame
        title={mode === 'runs' ? 'Runs' : 'Runs side by side'}
        eyebrow={found?.kind === 'runs' ? found.folder : undefined}
        home={mode === 'compare' ? withKey('./') : undefined}
      >
        <Status state={state} heardAt={heardAt.value} hasContent={found !== undefined} />
        {state.kind === 'needs-key' && <KeyForm refusal={state.refusal} onKey={onKey} />}
        {found?.kind === 'runs' && <RunList runs={found.runs} linkOf={linkOf} compareLink={compareLink} />}
        {found?.kind === 'comparison' && <Compared comparison={found.comparison} />}
      </RunsFrame>
    );
  };
  root.replaceChildren();
  render(
    <ChartDrawer.Provider value={drawChart}>
      <App />
    </ChartDrawer.Provider>,
    root,
  );
}

/** The view key is in the fragment, which no server is sent: links carry it on. */
const withKey = (path: string): string => `${path}${location.hash}`;
const linkOf = (name: string): string => withKey(`runs/${encodeURIComponent(name)}/`);
const compareLink = (names: readonly string[]): string =>
  withKey(`compare?runs=${encodeURIComponent(names.map(encodeURIComponent).join(','))}`);

interface RunsFrameProps {
  readonly title: string;
  readonly eyebrow: string | undefined;
  /** The address of the list of all runs. */
  readonly home: string | undefined;
  readonly children: ComponentChildren;
}

function RunsFrame({ title, eyebrow, home, children }: RunsFrameProps) {
  useEffect(() => {
    document.title = `${title} – gradsock`;
  }, [title]);
  return (
    <>
      <header>
        <div class="run-header">
          <p class="eyebrow">
            <span>gradsock</span>
            {eyebrow !== undefined && <span>{eyebrow}</span>}
            {home !== undefined && (
              <span>
                <a href={home}>all runs</a>
              </span>
            )}
          </p>
          <div class="run-title">
            <h1>{title}</h1>
            <div class="actions">
              <ThemeToggle />
            </div>
          </div>
        </div>
      </header>
      <main id="main">{children}</main>
    </>
  );
}

function Compared({ comparison }: { readonly comparison: Comparison }) {
  const [axis, setAxis] = useState<ComparisonAxis>('epochs');
  if (comparison.runs.length === 0) return <p class="empty">None of these runs is here. Choose some in the list.</p>;
  return <ComparisonPage comparison={comparison} axis={axis} onAxis={setAxis} linkOf={linkOf} />;
}

interface StatusProps {
  readonly state: ConnectionState;
  readonly heardAt: number;
  readonly hasContent: boolean;
}

function Status({ state, heardAt, hasContent }: StatusProps) {
  const status = statusOf({ connection: state, run: hasContent ? 'running' : undefined, heardAt, now: Date.now() });
  return (
    <div class="status" role="status" aria-live="polite">
      {status && <p class={`status-line tone-${status.tone}`}>{status.text}</p>}
    </div>
  );
}
