/** KeyFigures: the figures that one looks at first. */
import type { RunView } from '../../run-view.ts';
import { keyFigures } from '../run-facts.ts';

export function KeyFigures({ view }: { readonly view: RunView }) {
  return (
    <dl class="key-figures" aria-label="Key figures">
      {keyFigures(view).map(({ label, value, note }) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class="figure">{value}</dd>
          <dd class="note">{note}</dd>
        </div>
      ))}
    </dl>
  );
}
