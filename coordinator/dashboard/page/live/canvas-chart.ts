/** Draws charts on canvases by uPlot. Colours are those of the legend's swatches, so that style sheets alone decide them. */
import uPlot from 'uplot';
import { lastOf, rangeOf, sumsOf } from '../chart-spec.ts';
import type { ChartSeries, ChartSpec } from '../chart-spec.ts';
import type { ChartDrawing } from '../components/chart.tsx';
import { onThemeChange } from './theme.ts';

const AXIS_WIDTH = 58;
const AXIS_HEIGHT = 28;
/** Of a line: more would hide it. */
const MOST_MARKED_POINTS = 60;
const STEPS = [1, 2, 5];
/** Distances between ticks on the axis of epochs. */
const EPOCH_STEPS = [0.001, 0.01, 0.1, 1, 10, 100, 1000].flatMap((power) => STEPS.map((step) => step * power));
/** Pointers of charts with this key move together. */
const CURSOR_KEY = 'run';

export function drawChart(area: HTMLElement, legend: HTMLElement, first: ChartSpec): ChartDrawing {
  let chart = first;
  const values = [...legend.querySelectorAll<HTMLElement>('.value')];
  const swatches = [...legend.querySelectorAll('.swatch')];
  const showValues = (index: number | null | undefined) => {
    for (const [i, series] of chart.series.entries()) {
      const value = index === null || index === undefined ? lastOf(series, chart) : (series.values[index] ?? null);
      const text = value === null ? '' : chart.format(value);
      if (values[i] && values[i].textContent !== text) values[i].textContent = text;
    }
  };
  const style = getComputedStyle(area);
  const plot = new uPlot(
    {
      ...sizeOf(area),
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        sync: { key: CURSOR_KEY, setSeries: false },
        points: { size: 7 },
      },
      scales: { x: { time: false, range: () => epochRange(chart) }, y: { range: () => [...rangeOf(chart)] } },
      axes: [
        { ...axis(style), size: AXIS_HEIGHT, incrs: EPOCH_STEPS, values: (_, ticks) => ticks.map(tickOfEpoch) },
        { ...axis(style), size: AXIS_WIDTH, space: 36, values: (_, ticks) => ticks.map((tick) => chart.tick(tick)) },
      ],
      series: [
        {},
        ...drawnOf(chart).map(({ series, i }) =>
          look(
            series,
            chart.isStacked,
            () => colourOf(swatches[i]!),
            () => numPointsOf(chart.series[i]!),
          ),
        ),
      ],
      hooks: {
        setCursor: [({ cursor }) => showValues(cursor.left !== undefined && cursor.left >= 0 ? cursor.idx : null)],
      },
    },
    dataOf(chart),
    area,
  );
  showValues(null);
  const observer = new ResizeObserver(() => {
    const { width, height } = sizeOf(area);
    if (width !== plot.width || height !== plot.height) plot.setSize({ width, height });
  });
  observer.observe(area);
  const endTheme = onThemeChange(() => plot.redraw(false, true));
  return {
    update(changed) {
      if (changed === chart) return;
      chart = changed;
      plot.setData(dataOf(chart));
      showValues(plot.cursor.left !== undefined && plot.cursor.left >= 0 ? plot.cursor.idx : null);
    },
    remove() {
      endTheme();
      observer.disconnect();
      plot.destroy();
    },
  };
}

const sizeOf = (area: HTMLElement) => ({
  width: Math.max(80, area.clientWidth),
  height: Math.max(80, area.clientHeight),
});

const numPointsOf = ({ values }: ChartSeries): number => values.filter((value) => value !== null).length;

const colourOf = (swatch: Element): string => getComputedStyle(swatch).color;

/** From 0 to the last epoch; a single point has some room beside it. */
function epochRange({ x }: ChartSpec): [number, number] {
  const last = x.at(-1) ?? 1;
  return [0, last > 0 ? last : 1];
}

const tickOfEpoch = (tick: number): string => String(Number(tick.toPrecision(6)));

/** `style`: live, so that it follows the theme. */
function axis(style: CSSStyleDeclaration): uPlot.Axis {
  const lines = { stroke: () => style.borderTopColor, width: 1 };
  return {
    stroke: () => style.color,
    font: `11px ${style.fontFamily}`,
    grid: lines,
    ticks: { ...lines, size: 4 },
    gap: 4,
  };
}

/** In the order of drawing, with their places in the chart: what comes later in a legend lies behind. */
function drawnOf({ series }: ChartSpec): { readonly series: ChartSeries; readonly i: number }[] {
  return series.map((one, i) => ({ series: one, i })).reverse();
}

function dataOf(chart: ChartSpec): uPlot.AlignedData {
  const columns = drawnOf(chart).map(({ series, i }) =>
    chart.isStacked ? sumsOf(chart.series, i + 1) : [...series.values],
  );
  return [[...chart.x], ...columns];
}

/** `numPoints`: of the series, as it is now. */
function look({ style }: ChartSeries, isStacked: boolean, colour: () => string, numPoints: () => number): uPlot.Series {
  const isAlone = () => numPoints() < 2;
  if (isStacked) return { stroke: colour, fill: colour, width: 0.5, points: { show: isAlone, fill: colour } };
  return {
    stroke: colour,
    width: style === 'fine' ? 1 : style === 'line' ? 1.5 : 2,
    spanGaps: true,
    alpha: style === 'fine' ? 0.45 : 1,
    ...(style === 'dashed' && { dash: [5, 4] }),
    points: {
      show: () => isAlone() || (style === 'points' && numPoints() <= MOST_MARKED_POINTS),
      size: 5,
      fill: colour,
    },
  };
}
