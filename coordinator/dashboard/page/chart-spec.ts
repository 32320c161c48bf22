/**
 * ChartSpec: a chart as plain data. A browser draws it on a canvas, a report as SVG, and both show the same table of its data.
 */
import { thin } from './format.ts';

/** Names of colour tokens in `styles/tokens.css`: `--series-blue`. */
export type SeriesColour = 'blue' | 'orange' | 'teal' | 'purple' | 'red' | 'sky' | 'grey';

export interface ChartSeries {
  readonly label: string;
  readonly colour: SeriesColour;
  /** One for each of the chart's `x`; null where the series has no value there. */
  readonly values: readonly (number | null)[];
  /** `fine`: a thin pale line, for what is noisy. `dashed`: what is only compared with. `points`: a line with its points. */
  readonly style: 'fine' | 'line' | 'dashed' | 'points';
}

export interface ChartSpec {
  /** Unique within a page of one run. */
  readonly id: ChartId;
  readonly title: string;
  /** What is on the axes, in a sentence. */
  readonly description: string;
  /** Epochs that are done, ascending. */
  readonly x: readonly number[];
  /** What `x` is, where it is not epochs. */
  readonly xTitle?: string;
  readonly series: readonly ChartSeries[];
  /** Whether the series are bands on top of each other, the first at the bottom; then every series has all values. */
  readonly isStacked: boolean;
  /** Whether the axis begins at 0. */
  readonly fromZero: boolean;
  /** A value with its unit. */
  readonly format: (value: number | null) => string;
  /** A value on the axis, shorter. */
  readonly tick: (value: number) => string;
}

export type ChartId = 'loss' | 'accuracy' | 'parts' | 'throughput' | 'bytes' | 'efficiency';

const MOST_ROWS = 30;

/** A curve with an x of its own, before it is laid over others. */
export type Curve = Omit<ChartSeries, 'values'> & { readonly points: readonly (readonly [x: number, y: number])[] };

/** All curves over one x: that of any of them. Curves without points, and values that are not finite, are omitted. */
export function overlay(curves: readonly Curve[]): Pick<ChartSpec, 'x' | 'series'> {
  const drawn = curves.filter(({ points }) => points.length > 0);
  const x = [...new Set(drawn.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const series = drawn.map(({ points, ...rest }) => {
    const byX = new Map(points);
    const values = x.map((at) => {
      const y = byX.get(at);
      return y !== undefined && Number.isFinite(y) ? y : null;
    });
    return { ...rest, values };
  });
  return { x, series };
}

/**
 * What the axis of values reaches over. The first steps are far from all others: after some epochs, the lines of epochs
 * decide, and what lies outside is cut off.
 */
export function rangeOf({ series, isStacked, fromZero }: ChartSpec): readonly [low: number, high: number] {
  const known = ({ values }: ChartSeries) => values.filter((value) => value !== null);
  const isCoarseEnough = series.some((one) => one.style === 'points' && known(one).length >= 3);
  const deciding = isCoarseEnough ? series.filter(({ style }) => style !== 'fine') : series;
  const columns = isStacked ? [sumsOf(series)] : deciding.map(known);
  let [low, high] = [fromZero ? 0 : Infinity, fromZero ? 0 : -Infinity];
  for (const value of columns.flat()) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [fromZero ? 0 : Math.max(low - room, low >= 0 ? 0 : -Infinity), high + room];
}

/** Of series that are stacked: the height of the whole stack, and with `upTo` that of its lowest bands. */
export const sumsOf = (series: readonly ChartSeries[], upTo = series.length): number[] =>
  (series[0]?.values ?? []).map((_, i) => series.slice(0, upTo).reduce((sum, { values }) => sum + (values[i] ?? 0), 0));

/** The last value of a series; null for none. What is only compared with goes on after the run: its value where the run is. */
export function lastOf({ values, style }: ChartSeries, { series }: ChartSpec): number | null {
  const others = series.filter((one) => one.style === 'points');
  const end = style === 'dashed' ? values.findLastIndex((_, i) => others.some((one) => one.values[i] !== null)) : -1;
  return (end === -1 ? values : values.slice(0, end + 1)).findLast((value) => value !== null) ?? null;
}

/** "3", "0.25". */
const epochText = (epochs: number): string => String(Number(epochs.toPrecision(4)));

/** The chart as a table of at most 30 rows: those of epochs that are whole first of all, as there all series have values. */
export function tableOf(chart: ChartSpec): { readonly head: readonly string[]; readonly rows: readonly string[][] } {
  const head = [chart.xTitle ?? 'Epoch', ...chart.series.map(({ label }) => label)];
  const all = chart.x.map((_, row) => row);
  const numValues = (row: number) => chart.series.filter(({ values }) => values[row] !== null).length;
  const most = Math.max(0, ...all.map(numValues));
  const fullest = all.filter((row) => numValues(row) === most);
  const rows = thin(fullest.length >= 5 ? fullest : all, MOST_ROWS).map((row) => [
    epochText(chart.x[row]!),
    ...chart.series.map(({ values }) => chart.format(values[row] ?? null)),
  ]);
  return { head, rows };
}
