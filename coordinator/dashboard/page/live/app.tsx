/** App: the live page: what the store knows, as a RunPage, with what only a live page has. */
import { useEffect, useMemo } from 'preact/hooks';
import { RunPage } from '../components/run-page.tsx';
import { hasEnded, partDone, stateText } from '../run-facts.ts';
import { formatPercent } from '../format.ts';
import type { RunView } from '../../run-view.ts';
import { Controls } from './controls.tsx';
import { KeyForm } from './key-form.tsx';
import { StatusLine } from './status-line.tsx';
import type { Store } from './store.ts';
import { ThemeToggle } from './theme-toggle.tsx';

export interface AppProps {
  readonly store: Store;
  /** The address of the list of runs; undefined where there is none. */
  readonly home: string | undefined;
  readonly onKey: (key: string) => void;
  readonly onRetry: () => void;
}

export function App({ store, home, onKey, onRetry }: AppProps) {
  const view = store.view.value;
  const connection = store.connection.value;
  const epoch = store.confusion.epoch.value;
  const matrix = store.confusion.matrix.value;
  const cell = store.confusion.cell.value;
  const confusion = useMemo(
    () =>
      epoch === undefined
        ? undefined
        : {
            epoch,
            matrix,
            cell,
            onEpoch: store.confusion.chooseEpoch,
            onCell: (place: NonNullable<typeof cell>) => {
              store.confusion.cell.value = place;
            },
          },
    [epoch, matrix, cell],
  );
  const title = view && titleOf(view);
  useEffect(() => {
    if (title !== undefined) document.title = title;
  }, [title]);
  const keyForm = connection.kind === 'needs-key' && <KeyForm refusal={connection.refusal} onKey={onKey} />;
  if (!view) {
    return (
      <main id="main" class="first">
        <h1>{document.title}</h1>
        {keyForm || <StatusLine store={store} onRetry={onRetry} />}
      </main>
    );
  }
  return (
    <>
      <SkipLink />
      <RunPage
        view={view}
        confusion={confusion}
        images={store.confusion.images.value}
        actions={
          <div class="actions">
            {home !== undefined && (
              <a class="home" href={home}>
                All runs
              </a>
            )}
            <Controls controls={store.controls} state={view.now.state} isOpen={connection.kind === 'open'} />
            <ThemeToggle />
          </div>
        }
        status={
          <>
            <StatusLine store={store} onRetry={onRetry} />
            {keyForm}
          </>
        }
      />
    </>
  );
}

/** Moves the focus by itself: a link's fragment would take the place of the view key in the address. */
function SkipLink() {
  return (
    <a
      class="skip-link"
      href="#main"
      onClick={(event) => {
        event.preventDefault();
        document.getElementById('main')?.focus();
      }}
    >
      Skip to the figures
    </a>
  );
}

/** Of the browser's tab. */
function titleOf(view: RunView): string {
  const { head, now } = view;
  const isRunning = !hasEnded(now.state) && now.progress !== undefined;
  return `${isRunning ? formatPercent(partDone(view), 0) : stateText(now.state)} – ${head.name}`;
}
