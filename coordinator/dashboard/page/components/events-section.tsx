/** EventsSection: what has happened, the newest first. */
import type { EventView } from '../../run-view.ts';
import { formatTime } from '../format.ts';
import { Section } from './section.tsx';

export function EventsSection({ events }: { readonly events: readonly EventView[] }) {
  return (
    <Section name="events" title="Events">
      {events.length === 0 ? (
        <p class="empty">Nothing to tell so far.</p>
      ) : (
        <ol class="events" reversed tabIndex={0} aria-label="Events, the newest first">
          {events.toReversed().map(({ at, tone, text }, i) => (
            <li key={events.length - i} class={`tone-${tone}`}>
              <time dateTime={at}>{formatTime(at)}</time>
              <span class="mark" aria-hidden="true">
                {MARKS[tone]}
              </span>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  );
}

const MARKS: Readonly<Record<EventView['tone'], string>> = { good: '+', bad: '!', neutral: '·' };
