/** The charts of several runs side by side, and what more workers gave. */
import type { ComparedRun, Comparison } from '../runs-messages.ts';
import { overlay } from './chart-spec.ts';
import type { ChartSeries, ChartSpec, SeriesColour } from './chart-spec.ts';
import { formatCount, formatDuration, formatNumber, formatPercent } from './format.ts';

/** What curves are drawn over. */
export type ComparisonAxis = 'epochs' | 'seconds';

/** A run's line: with more runs than colours, the second half is dashed. */
export interface RunLook {
  readonly colour: SeriesColour;
  readonly style: 'line' | 'dashed';
}

const COLOURS: readonly SeriesColour[] = ['blue', 'orange', 'teal', 'purple', 'red', 'sky'];

export const lookOf = (index: number): RunLook => ({
  colour: COLOURS[index % COLOURS.length]!,
  style: index < COLOURS.length ? 'line' : 'dashed',
});

/** Loss and accuracy of all runs, over epochs or over seconds. */
export function comparisonCharts({ runs }: Pick<Comparison, 'runs'>, axis: ComparisonAxis): readonly ChartSpec[] {
  const over = axis === 'epochs' ? 'epochs' : 'seconds of training and evaluation';
  const curves = (read: (run: ComparedRun) => readonly (number | null)[]) =>
    overlay(
      runs.map((run, index) => ({
        label: run.name,
        ...lookOf(index),
        points: read(run).flatMap((value, i) => {
          const x = run.curves[axis][i];
          return value === null || x === undefined ? [] : [[x, value] as const];
        }),
      })),
    );
  const common = { isStacked: false, fromZero: false, xTitle: axis === 'epochs' ? 'Epoch' : 'Seconds' } as const;
  return [
    {
      ...common,
      id: 'loss',
      title: 'Training loss',
      description: `Mean training loss in nats of each run, over ${over}.`,
      ...curves(({ curves: { loss } }) => loss),
      format: formatNumber,
      tick: plain,
    },
    {
      ...common,
      id: 'accuracy',
      title: 'Accuracy',
      description: `Accuracy in percent on what each run evaluates, over ${over}.`,
      ...curves(({ curves: { accuracy } }) => accuracy),
      format: (value) => formatPercent(value),
      tick: (value) => `${plain(100 * value)} %`,
    },
  ];
}

/** What a number of workers gave, against the fewest workers among runs of the same model and data. */
export interface Scaling {
  readonly name: string;
  readonly workers: number;
  readonly samplesPerSecond: number;
  /** Throughput over that of the fewest workers. */
  readonly speedup: number;
  /** The speedup over the growth in workers: 1 is perfect. */
  readonly efficiency: number;
}

/**
 * By workers, the fewest first. Empty where nothing can be said: the runs have the same number of workers, or are not of
 * one model and one dataset.
 */
export function scalingOf(runs: readonly ComparedRun[]): readonly Scaling[] {
  const measured = runs.flatMap((run) => {
    const { samplesPerSecond } = run;
    return samplesPerSecond !== null && samplesPerSecond > 0 && run.workers > 0 ? [{ ...run, samplesPerSecond }] : [];
  });
  const numKinds = new Set(measured.map(({ model, data }) => `${model}\n${data}`)).size;
  const numWorkers = new Set(measured.map(({ workers }) => workers)).size;
  if (numKinds !== 1 || numWorkers < 2) return [];
  const sorted = [...measured].sort((a, b) => a.workers - b.workers);
  const fewest = sorted.filter(({ workers }) => workers === sorted[0]!.workers);
  const base = mean(fewest.map(({ samplesPerSecond }) => samplesPerSecond));
  return sorted.map(({ name, workers, samplesPerSecond }) => {
    const speedup = samplesPerSecond / base;
    return { name, workers, samplesPerSecond, speedup, efficiency: (speedup * sorted[0]!.workers) / workers };
  });
}

/** Throughput and efficiency over workers: means of runs with the same number. */
export function scalingCharts(scaling: readonly Scaling[]): readonly ChartSpec[] {
  const x = [...new Set(scaling.map(({ workers }) => workers))];
  const [fewest] = x;
  if (fewest === undefined) return [];
  const meanOf = (workers: number, read: (one: Scaling) => number) =>
    mean(scaling.filter((one) => one.workers === workers).map(read));
  const measured = (read: (one: Scaling) => number): ChartSeries => ({
    ...{ label: 'measured', colour: 'blue', style: 'points' },
    values: x.map((workers) => meanOf(workers, read)),
  });
  const perfect = (values: readonly number[]): ChartSeries => ({
    label: 'perfect',
    colour: 'grey',
    style: 'dashed',
    values,
  });
  const base = meanOf(fewest, ({ samplesPerSecond }) => samplesPerSecond);
  const common = { x, isStacked: false, fromZero: true, xTitle: 'Workers' } as const;
  return [
    {
      ...common,
      id: 'throughput',
      title: 'Throughput by workers',
      description: 'Training samples per second over the number of workers.',
      series: [perfect(x.map((workers) => (base * workers) / fewest)), measured((one) => one.samplesPerSecond)],
      format: formatCount,
      tick: (value) => (value >= 10_000 ? `${plain(value / 1000)}k` : formatCount(value)),
    },
    {
      ...common,
      id: 'efficiency',
      title: 'Efficiency by workers',
      description: 'Throughput of each worker, in percent of that with the fewest workers.',
      series: [perfect(x.map(() => 1)), measured((one) => one.efficiency)],
      format: (value) => formatPercent(value, 0),
      tick: (value) => `${plain(100 * value)} %`,
    },
  ];
}

/** The figures of each run, as rows of a table. */
export const COMPARED_FIGURES: readonly (readonly [title: string, textOf: (run: ComparedRun) => string])[] = [
  ['State', ({ state }) => state],
  ['Epochs', ({ epochs, plannedEpochs }) => (epochs === plannedEpochs ? `${epochs}` : `${epochs} of ${plannedEpochs}`)],
  ['Best accuracy', ({ bestAccuracy }) => formatPercent(bestAccuracy)],
  ['Last accuracy', ({ lastAccuracy }) => formatPercent(lastAccuracy)],
  ['Training loss', ({ loss }) => formatNumber(loss)],
  ['Time', ({ seconds }) => formatDuration(seconds)],
  ['Workers', ({ workers }) => String(workers)],
  ['Samples per second', ({ samplesPerSecond }) => formatCount(samplesPerSecond)],
];

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

const plain = (value: number): string => String(Number(value.toPrecision(6)));
