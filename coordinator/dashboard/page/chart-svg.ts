/**
 * Charts as SVG, for where no script draws: in a report, as wide as the page, with the colours of its style sheet; and as a
 * picture of its own, of a fixed size, on white.
 */
import { rangeOf, sumsOf } from './chart-spec.ts';
import type { ChartSeries, ChartSpec, SeriesColour } from './chart-spec.ts';

/** Side of the square that the curves of a fluid chart are in: it is stretched to the page. */
const SIDE = 1000;
/** Of a line in a file: more points than pixels are of no use. */
const MOST_POINTS = 400;
/** Pixels that are left beside the axes. */
const MARGIN = { left: 56, right: 12, top: 10, bottom: 24 };

/** Where values are drawn. */
interface Scales {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

/** For a page: `styles/report.css` decides its size and its colours. */
export function fluidSvg(chart: ChartSpec): string {
  const { xTicks, yTicks, xRange, yRange } = axesOf(chart);
  const part = (value: number, [low, high]: Range) => (value - low) / (high - low);
  const percent = (value: number) => `${round(100 * value)}%`;
  const scales: Scales = {
    x: (value) => round(SIDE * part(value, xRange)),
    y: (value) => round(SIDE * (1 - part(value, yRange))),
  };
  const grid = yTicks.map((tick) => {
    const y = percent(1 - part(tick, yRange));
    return `<line class="grid" x1="0" x2="100%" y1="${y}" y2="${y}"/><text x="-8" dy="0.32em" y="${y}" text-anchor="end">${escape(chart.tick(tick))}</text>`;
  });
  const below = xTicks.map((tick) => {
    return `<text x="${percent(part(tick, xRange))}" y="100%" dy="1.5em" text-anchor="middle">${tickText(tick)}</text>`;
  });
  const marks = marksOf(chart, scales).map(({ series, d, isBand }) => {
    return `<path class="${isBand ? 'band' : series.style} ${series.colour}" d="${d}"/>`;
  });
  return (
    `<svg class="static-chart"><svg class="plot" x="${MARGIN.left}" y="${MARGIN.top}" width="85%" height="85%">` +
    `${grid.join('')}${below.join('')}<svg viewBox="0 0 ${SIDE} ${SIDE}" preserveAspectRatio="none" width="100%" height="100%">` +
    `${marks.join('')}</svg></svg></svg>`
  );
}

/** Colours on white, for files: those of `styles/tokens.css` in a light theme. */
const COLOURS: Readonly<Record<SeriesColour, string>> = {
  blue: '#1f6feb',
  orange: '#c4580a',
  teal: '#0f7b6c',
  purple: '#7c4dd1',
  red: '#c93a4b',
  sky: '#3a9bd6',
  grey: '#8a929c',
};

const FONT = 'DejaVu Sans, Liberation Sans, Helvetica, Arial, sans-serif';
const HEAD = 44;

/** Charts under each other, as the text of an SVG file. */
export function chartsFile(charts: readonly ChartSpec[], { title, width = 760, height = 260 } = FILE_SIZE): string {
  const whole = { width, height: 34 + charts.length * (HEAD + height) };
  const parts = charts.map((chart, i) => chartAt(chart, { top: 34 + i * (HEAD + height), width, height }));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${whole.width}" height="${whole.height}" ` +
    `viewBox="0 0 ${whole.width} ${whole.height}" font-family="${FONT}" font-size="11" fill="#24292f">\n` +
    `<rect width="${whole.width}" height="${whole.height}" fill="white"/>\n` +
    `<text x="14" y="24" font-size="15" font-weight="bold">${escape(title)}</text>\n${parts.join('\n')}\n</svg>\n`
  );
}

const FILE_SIZE: { readonly title: string; readonly width?: number; readonly height?: number } = { title: '' };

function chartAt(
  chart: ChartSpec,
  at: { readonly top: number; readonly width: number; readonly height: number },
): string {
  const { xTicks, yTicks, xRange, yRange } = axesOf(chart);
  const [left, right] = [MARGIN.left, at.width - MARGIN.right];
  const [top, bottom] = [at.top + HEAD, at.top + HEAD + at.height - MARGIN.bottom - 14];
  const along = (value: number, [low, high]: Range, from: number, to: number) =>
    round(from + ((value - low) / (high - low)) * (to - from));
  const scales: Scales = {
    x: (value) => along(value, xRange, left, right),
    y: (value) => along(value, yRange, bottom, top),
  };
  const grid = yTicks.map((tick) => {
    const y = scales.y(tick);
    return `<path d="M${left} ${y}H${right}" stroke="#e4e7eb"/><text x="${left - 8}" y="${y + 4}" text-anchor="end" fill="#57606a">${escape(chart.tick(tick))}</text>`;
  });
  const below = xTicks.map((tick) => {
    return `<text x="${scales.x(tick)}" y="${bottom + 16}" text-anchor="middle" fill="#57606a">${tickText(tick)}</text>`;
  });
  const marks = marksOf(chart, scales).map(({ series, d, isBand }) => {
    const colour = COLOURS[series.colour];
    if (isBand) return `<path d="${d}" fill="${colour}" fill-opacity="0.85"/>`;
    const dashes = series.style === 'dashed' ? ' stroke-dasharray="5 4"' : '';
    const weight = series.style === 'fine' ? ' stroke-width="1" stroke-opacity="0.45"' : ' stroke-width="2"';
    return `<path d="${d}" fill="none" stroke="${colour}"${weight}${dashes} stroke-linejoin="round" stroke-linecap="round"/>`;
  });
  const x = `<text x="${(left + right) / 2}" y="${bottom + 30}" text-anchor="middle" fill="#57606a">epoch</text>`;
  const box = { x: left, y: top, width: right - left, height: bottom - top };
  // A drawing within the drawing cuts off what lies outside the range.
  const plot = `<svg x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}" viewBox="${Object.values(box).join(' ')}">`;
  return [legendAt(chart, left, at.top), ...grid, ...below, x, plot, ...marks, '</svg>'].join('\n');
}

/** The chart's title, and its series beside it. */
function legendAt({ title, series }: ChartSpec, left: number, top: number): string {
  let x = left + 8.2 * title.length + 24;
  const entries = series.map(({ label, colour, style }) => {
    const at = x;
    x += 38 + 6.8 * label.length;
    const dashes = style === 'dashed' ? ' stroke-dasharray="5 4"' : '';
    return (
      `<path d="M${round(at)} ${top + 26}h18" stroke="${COLOURS[colour]}" stroke-width="3"${dashes}/>` +
      `<text x="${round(at + 24)}" y="${top + 30}">${escape(label)}</text>`
    );
  });
  return `<text x="${left}" y="${top + 30}" font-size="13" font-weight="bold">${escape(title)}</text>${entries.join('')}`;
}

type Range = readonly [low: number, high: number];

function axesOf(chart: ChartSpec) {
  const last = chart.x.at(-1) ?? 1;
  const xRange: Range = [0, last > 0 ? last : 1];
  const yRange = rangeOf(chart);
  return { xRange, yRange, xTicks: ticksOf(xRange, 8), yTicks: ticksOf(yRange, 5) };
}

interface Mark {
  readonly series: ChartSeries;
  /** The path. */
  readonly d: string;
  readonly isBand: boolean;
}

function marksOf(chart: ChartSpec, scales: Scales): Mark[] {
  const rows = thinRows(chart);
  if (!chart.isStacked) {
    return chart.series.map((series) => ({ series, isBand: false, d: lineOf(series, chart.x, rows, scales) }));
  }
  return chart.series.map((series, i) => {
    const [lower, upper] = [sumsOf(chart.series, i), sumsOf(chart.series, i + 1)];
    const edge = (sums: readonly number[]) =>
      rows.map((row) => `${scales.x(chart.x[row]!)} ${scales.y(sums[row] ?? 0)}`);
    return { series, isBand: true, d: `M${[...edge(upper), ...edge(i === 0 ? [] : lower).reverse()].join('L')}Z` };
  });
}

function lineOf({ values }: ChartSeries, x: readonly number[], rows: readonly number[], scales: Scales): string {
  const points = rows.flatMap((row) => {
    const value = values[row] ?? null;
    return value === null ? [] : [`${scales.x(x[row]!)} ${scales.y(value)}`];
  });
  if (points.length === 0) return '';
  // A line of no length is drawn as a dot by its round ends.
  return `M${points.length === 1 ? `${points[0]!}h0.01` : points.join('L')}`;
}

/** Of rows that are too many, those with the most values are kept: the values of epochs among those of steps. */
function thinRows({ x, series }: ChartSpec): number[] {
  const all = x.map((_, row) => row);
  if (all.length <= MOST_POINTS) return all;
  const every = Math.ceil(all.length / MOST_POINTS);
  const coarse = series.filter(({ style }) => style !== 'fine');
  return all.filter(
    (row) => row % every === 0 || row === all.length - 1 || coarse.some(({ values }) => (values[row] ?? null) !== null),
  );
}

/** Round values within the range, about `most` of them. */
export function ticksOf([low, high]: Range, most: number): number[] {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999)!;
  const first = Math.ceil(low / step - 1e-9);
  const numTicks = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(numTicks, 2 * most)) }, (_, i) => (first + i) * step);
}

const tickText = (tick: number): string => escape(String(Number(tick.toPrecision(6))));
const round = (value: number): number => Math.round(value * 10) / 10;

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
