/** RunHeader: which run it is, where it stands, and how far it is. */
import type { ComponentChildren } from 'preact';
import type { RunView } from '../../run-view.ts';
import { formatCount, formatDate, formatDuration, formatPercent } from '../format.ts';
import { hasEnded, partDone, stateText } from '../run-facts.ts';

export interface RunHeaderProps {
  readonly view: RunView;
  /** Buttons beside the name. */
  readonly actions?: ComponentChildren;
}

export function RunHeader({ view, actions }: RunHeaderProps) {
  const { head, now } = view;
  const { model, dataset } = head.config ?? {};
  return (
    <div class="run-header">
      <p class="eyebrow">
        <span>gradsock</span>
        {model && <span>{model.name}</span>}
        {dataset && <span>{dataset.name}</span>}
        {head.startedAt !== undefined && (
          <span>
            started <time dateTime={head.startedAt}>{formatDate(head.startedAt)}</time>
          </span>
        )}
      </p>
      <div class="run-title">
        <h1>{head.name}</h1>
        <span class={`state state-${now.state}`}>{stateText(now.state)}</span>
        {actions}
      </div>
      <RunProgress view={view} />
      {now.doing !== undefined && !hasEnded(now.state) && <p class="doing">{now.doing}</p>}
    </div>
  );
}

function RunProgress({ view }: { readonly view: RunView }) {
  const { head, now, epochs } = view;
  const { progress, result } = now;
  const isOver = hasEnded(now.state);
  const numEpochs = progress?.epochs ?? head.config?.epochs;
  if (numEpochs === undefined) return null;
  const done = partDone(view);
  return (
    <div class="progress">
      <progress aria-label="Progress of the run" max={1} value={done} />
      <p>
        <strong>
          epoch {isOver || !progress ? epochs.length : progress.epoch} of {numEpochs}
        </strong>
        {progress && !isOver && (
          <span>
            step {formatCount(progress.stepInEpoch)} of {formatCount(progress.stepsPerEpoch)}
          </span>
        )}
        <span>{formatPercent(done, 0)}</span>
        {progress && !isOver && Number.isFinite(progress.runSecondsLeft) && (
          <span>about {formatDuration(progress.runSecondsLeft)} left</span>
        )}
        {result && <span>took {formatDuration(result.seconds)}</span>}
      </p>
    </div>
  );
}
