/** StatusLine: how the page stands with its server, and what came of the last button. */
import { useEffect, useState } from 'preact/hooks';
import { stateText } from '../run-facts.ts';
import type { Store } from './store.ts';
import { statusOf } from './status-text.ts';

export interface StatusLineProps {
  readonly store: Store;
  readonly onRetry: () => void;
}

export function StatusLine({ store, onRetry }: StatusLineProps) {
  const connection = store.connection.value;
  const isWaiting = connection.kind === 'waiting';
  const now = useSeconds(isWaiting);
  const run = store.view.value?.now.state;
  const status = statusOf({ connection, run, heardAt: store.heardAt.value, now });
  const outcome = store.controls.outcome.value;
  return (
    <div class="status">
      <div role="status" aria-live="polite">
        {run && !status && <p class="hidden">The run is {stateText(run)}.</p>}
        {status && <p class={`status-line tone-${status.tone}`}>{status.text}</p>}
        {outcome && <p class={`status-line tone-${outcome.ok ? 'calm' : 'trouble'}`}>{outcome.text}</p>}
      </div>
      {isWaiting && (
        <p class="status-line countdown">
          {status?.countdown}{' '}
          <button type="button" class="link" onClick={onRetry}>
            {status?.tone === 'trouble' ? 'Try now' : 'Look whether it is back'}
          </button>
        </p>
      )}
    </div>
  );
}

/** The time in milliseconds since 1970, anew every second while `isRunning`. */
function useSeconds(isRunning: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isRunning) return;
    setNow(Date.now());
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, [isRunning]);
  return Math.max(now, isRunning ? 0 : Date.now());
}
