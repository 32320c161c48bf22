/**
 * RunPage: all that there is to see of a run. A pure function of its props, as all components in this folder: a browser shows
 * them as the run goes, and Node writes them into a report.
 */
import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { RunView } from '../../run-view.ts';
import type { ChartId } from '../chart-spec.ts';
import { learningCharts, speedCharts } from '../run-charts.ts';
import type { Images } from './cell-images.tsx';
import { Chart } from './chart.tsx';
import { ConfusionSection } from './confusion-section.tsx';
import type { ChosenConfusion } from './confusion-section.tsx';
import { ConfigurationSection, OriginSection } from './details-section.tsx';
import { EventsSection } from './events-section.tsx';
import { Failure } from './failure.tsx';
import { KeyFigures } from './key-figures.tsx';
import { RunHeader } from './run-header.tsx';
import { Section } from './section.tsx';
import { Verdict } from './verdict.tsx';
import { WorkersSection } from './workers-section.tsx';

export interface RunPageProps {
  readonly view: RunView;
  /** The matrix that is looked at; absent for none. */
  readonly confusion?: ChosenConfusion | undefined;
  readonly images?: Images;
  /** Charts as SVG, for where nothing draws. They are not escaped. */
  readonly svgs?: Partial<Record<ChartId, string>>;
  /** Buttons beside the run's name. */
  readonly actions?: ComponentChildren;
  /** Lines between the head and the rest: how the page stands with its server. */
  readonly status?: ComponentChildren;
}

const NO_IMAGES: Images = new Map();
const NO_SVGS = {};

export function RunPage({ view, confusion, images = NO_IMAGES, svgs = NO_SVGS, actions, status }: RunPageProps) {
  const { head, now, workers, epochs, series, events } = view;
  const error = now.result?.error;
  return (
    <>
      <header>
        <RunHeader view={view} actions={actions} />
        {status}
      </header>
      <main id="main" tabIndex={-1}>
        {error && <Failure error={error} />}
        {now.verdict !== undefined && <Verdict text={now.verdict} />}
        <KeyFigures view={view} />
        {useMemo(
          () => (
            <Learning view={{ head, epochs, series }} svgs={svgs} />
          ),
          [head, epochs, series, svgs],
        )}
        {useMemo(
          () => (
            <Speed view={{ series }} svgs={svgs} />
          ),
          [series, svgs],
        )}
        {useMemo(
          () => (
            <WorkersSection workers={workers} />
          ),
          [workers],
        )}
        {useMemo(
          () => (
            <ConfusionSection head={head} epochs={now.confusions} chosen={confusion} images={images} />
          ),
          [head, now.confusions.join(), confusion, images],
        )}
        <div class="columns">
          {useMemo(
            () => (
              <EventsSection events={events} />
            ),
            [events],
          )}
          {useMemo(
            () => (
              <>
                <ConfigurationSection head={head} />
                <OriginSection head={head} />
              </>
            ),
            [head],
          )}
        </div>
      </main>
    </>
  );
}

interface ChartsProps<Part extends keyof RunView> {
  readonly view: Pick<RunView, Part>;
  readonly svgs: Partial<Record<ChartId, string>>;
}

function Learning({ view, svgs }: ChartsProps<'head' | 'epochs' | 'series'>) {
  return (
    <Section name="learning" title="Learning" note={view.head.reference && `dashed: ${view.head.reference.name}`}>
      <div class="charts">
        {learningCharts(view).map((chart) => (
          <Chart key={chart.id} chart={chart} svg={svgs[chart.id]} />
        ))}
      </div>
    </Section>
  );
}

function Speed({ view, svgs }: ChartsProps<'series'>) {
  return (
    <Section name="speed" title="Speed">
      <div class="charts">
        {speedCharts(view).map((chart) => (
          <Chart key={chart.id} chart={chart} svg={svgs[chart.id]} />
        ))}
      </div>
    </Section>
  );
}
