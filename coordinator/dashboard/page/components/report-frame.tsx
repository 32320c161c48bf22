/** ReportFrame: what a report of several runs has around their comparison. */
import type { ComponentChildren } from 'preact';

export interface ReportFrameProps {
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function ReportFrame({ actions, children }: ReportFrameProps) {
  return (
    <>
      <header>
        <div class="run-header">
          <p class="eyebrow">
            <span>gradsock</span>
          </p>
          <div class="run-title">
            <h1>Runs side by side</h1>
            {actions}
          </div>
        </div>
      </header>
      <main id="main">{children}</main>
    </>
  );
}
