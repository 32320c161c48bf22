/** Reports as HTML files: the components of the dashboard, written out once, and the script that makes them interactive. */
import { h } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { pageHtml } from '../../coordinator/dashboard/html.ts';
import { fluidSvg } from '../../coordinator/dashboard/page/chart-svg.ts';
import type { ChartId, ChartSpec } from '../../coordinator/dashboard/page/chart-spec.ts';
import { comparisonCharts, scalingCharts, scalingOf } from '../../coordinator/dashboard/page/comparison-charts.ts';
import { ComparisonPage } from '../../coordinator/dashboard/page/components/comparison-page.tsx';
import { ReportFrame } from '../../coordinator/dashboard/page/components/report-frame.tsx';
import { RunPage } from '../../coordinator/dashboard/page/components/run-page.tsx';
import type { ReportPageData } from '../../coordinator/dashboard/page/page-data.ts';
import { firstCell } from '../../coordinator/dashboard/page/report-figures.ts';
import { learningCharts, speedCharts } from '../../coordinator/dashboard/page/run-charts.ts';
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import type { RunView } from '../../coordinator/dashboard/run-view.ts';
import type { Comparison } from '../../coordinator/dashboard/runs-messages.ts';

export interface RunReportParts {
  readonly view: RunView;
  /** That of the newest epoch that has one; null for none. */
  readonly confusion: Confusion | null;
  /** Data URLs by the index of the sample; null where its image is not at hand. */
  readonly images: readonly (readonly [index: number, url: string | null])[];
}

/** Digits of a number in a report: more than it shows. */
const DIGITS = 6;

export function runReportHtml({ view, confusion, images }: RunReportParts): string {
  const matrix = confusion && { epoch: confusion.epoch, matrix: confusion, cell: firstCell(confusion) };
  const charts = [...learningCharts(view), ...speedCharts(view)];
  const body = h(RunPage, {
    view,
    images: new Map(images),
    svgs: svgsOf(charts),
    ...(matrix && { confusion: matrix }),
  });
  return reportHtml(view.head.name, { mode: 'report', view, confusion, images }, renderToString(body));
}

export function comparisonReportHtml(comparison: Comparison): string {
  const charts = [...comparisonCharts(comparison, 'epochs'), ...scalingCharts(scalingOf(comparison.runs))];
  const page = h(ComparisonPage, { comparison, svgs: svgsOf(charts) });
  const body = renderToString(h(ReportFrame, { children: page }));
  return reportHtml('Runs side by side', { mode: 'comparison', comparison }, body);
}

function reportHtml(title: string, data: ReportPageData, body: string): string {
  return pageHtml({ title: `${title} – gradsock`, data: JSON.parse(JSON.stringify(data, shortNumbers)), body });
}

function svgsOf(charts: readonly ChartSpec[]): Partial<Record<ChartId, string>> {
  return Object.fromEntries(charts.filter(({ x }) => x.length > 0).map((chart) => [chart.id, fluidSvg(chart)]));
}

const shortNumbers = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
