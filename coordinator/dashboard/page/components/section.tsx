/** Section: a part of the page with its heading. */
import type { ComponentChildren } from 'preact';

export interface SectionProps {
  readonly title: string;
  /** A sentence beside the heading. */
  readonly note?: string | undefined;
  /** For the style sheet. */
  readonly name: string;
  readonly children: ComponentChildren;
}

export function Section({ title, note, name, children }: SectionProps) {
  return (
    <section class={`section section-${name}`} aria-label={title}>
      <div class="section-head">
        <h2>{title}</h2>
        {note !== undefined && <p class="note">{note}</p>}
      </div>
      {children}
    </section>
  );
}

/** What may be wider than the screen: scrolls by itself, also by keyboard. */
export function Scrolling({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  return (
    <div class="scrolling" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
