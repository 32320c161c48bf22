/** Makes a report that was opened interactive: what it shows is in it, and there is no server to ask. */
import { render } from 'preact';
import { useState } from 'preact/hooks';
import { ChartDrawer } from '../components/chart.tsx';
import { ComparisonPage } from '../components/comparison-page.tsx';
import { RunPage } from '../components/run-page.tsx';
import type { ComparisonAxis } from '../comparison-charts.ts';
import type { CellPlace } from '../confusion-facts.ts';
import type { ReportPageData } from '../page-data.ts';
import { ReportFrame } from '../components/report-frame.tsx';
import { firstCell } from '../report-figures.ts';
import { drawChart } from './canvas-chart.ts';
import { ThemeToggle } from './theme-toggle.tsx';

export function startReport(data: ReportPageData, root: HTMLElement): void {
  root.replaceChildren();
  render(
    <ChartDrawer.Provider value={drawChart}>
      {data.mode === 'report' ? <RunReport data={data} /> : <ComparisonReport data={data} />}
    </ChartDrawer.Provider>,
    root,
  );
}

function RunReport({ data }: { readonly data: Extract<ReportPageData, { mode: 'report' }> }) {
  const { view, confusion } = data;
  const [images] = useState(() => new Map(data.images));
  const [cell, setCell] = useState<CellPlace | undefined>(() => firstCell(confusion));
  const chosen = confusion ? { epoch: confusion.epoch, matrix: confusion, cell, onCell: setCell } : undefined;
  return <RunPage view={view} confusion={chosen} images={images} actions={<Actions />} />;
}

function ComparisonReport({ data }: { readonly data: Extract<ReportPageData, { mode: 'comparison' }> }) {
  const [axis, setAxis] = useState<ComparisonAxis>('epochs');
  return (
    <ReportFrame actions={<Actions />}>
      <ComparisonPage comparison={data.comparison} axis={axis} onAxis={setAxis} />
    </ReportFrame>
  );
}

function Actions() {
  return (
    <div class="actions">
      <ThemeToggle />
    </div>
  );
}
