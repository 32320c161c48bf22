/** The charts of a run: its view as ChartSpecs. */
import type { PartsInMs } from '../../reporting/flat-parts.ts';
import type { EpochView, RunHead, StepPoint } from '../run-view.ts';
import { overlay } from './chart-spec.ts';
import type { ChartSpec, Curve, SeriesColour } from './chart-spec.ts';
import { formatBytes, formatCount, formatMs, formatNumber, formatPercent } from './format.ts';

/** What charts are made from. */
export interface ChartSource {
  readonly head: RunHead;
  readonly epochs: readonly EpochView[];
  readonly series: readonly StepPoint[];
}

/** Loss and accuracy. Where the steps are not at hand, the epochs stand for them. */
export function learningCharts({ head, epochs, series }: ChartSource): readonly ChartSpec[] {
  const steps = (read: (point: StepPoint) => number): Curve => ({
    label: 'training, steps',
    colour: 'blue',
    style: 'fine',
    points: series.map((point) => [point.epochs, read(point)] as const),
  });
  const perEpoch = (label: string, colour: SeriesColour, read: (epoch: EpochView) => number | null): Curve => ({
    label,
    colour,
    style: 'points',
    points: epochs.flatMap((epoch) => {
      const value = read(epoch);
      return value === null ? [] : [[epoch.epoch, value] as const];
    }),
  });
  const reference = (label: string, values: readonly number[] = []): Curve => ({
    label: `${label}, reference`,
    colour: 'grey',
    style: 'dashed',
    points: values.slice(0, head.config?.epochs).map((value, i) => [i + 1, value] as const),
  });
  const evaluates = head.evaluates;
  return [
    {
      id: 'loss',
      title: 'Loss',
      description: `Mean loss in nats over epochs: training and ${evaluates}.`,
      ...overlay([
        steps(({ loss }) => loss),
        perEpoch('training', 'blue', ({ loss }) => loss),
        perEpoch(evaluates, 'orange', ({ evaluationLoss }) => evaluationLoss),
        reference('training', head.reference?.loss),
      ]),
      isStacked: false,
      fromZero: false,
      format: formatNumber,
      tick: plain,
    },
    {
      id: 'accuracy',
      title: 'Accuracy',
      description: `Accuracy in percent over epochs: training and ${evaluates}.`,
      ...overlay([
        steps(({ trainAccuracy }) => trainAccuracy),
        perEpoch('training', 'blue', ({ trainAccuracy }) => trainAccuracy),
        perEpoch(evaluates, 'orange', ({ evaluationAccuracy }) => evaluationAccuracy),
        reference('test', head.reference?.testAccuracy),
      ]),
      isStacked: false,
      fromZero: false,
      format: (value) => formatPercent(value),
      tick: (value) => `${plain(value * 100)} %`,
    },
  ];
}

const PARTS: readonly (readonly [keyof PartsInMs, string, SeriesColour])[] = [
  ['computePartMs', 'compute', 'blue'],
  ['encodePartMs', 'encode', 'sky'],
  ['wirePartMs', 'wire', 'orange'],
  ['waitPartMs', 'wait', 'red'],
  ['reducePartMs', 'reduce', 'purple'],
  ['applyPartMs', 'apply', 'teal'],
  ['otherPartMs', 'other', 'grey'],
];

/** Where a step's time goes, throughput, and bytes. */
export function speedCharts({ series }: Pick<ChartSource, 'series'>): readonly ChartSpec[] {
  const x = series.map(({ epochs }) => epochs);
  const line = (label: string, colour: SeriesColour, read: (point: StepPoint) => number) =>
    ({ label, colour, style: 'line', values: series.map(read) }) as const;
  return [
    {
      id: 'parts',
      title: 'Time of a step',
      description: 'Milliseconds of a step over epochs, as bands: the seven parts add up to the whole step.',
      x,
      series: PARTS.map(([part, label, colour]) => line(label, colour, (point) => point[part])),
      isStacked: true,
      fromZero: true,
      format: formatMs,
      tick: (value) => `${plain(value)} ms`,
    },
    {
      id: 'throughput',
      title: 'Throughput',
      description: 'Training samples per second over epochs.',
      x,
      series: [line('samples per second', 'teal', ({ samplesPerSecond }) => samplesPerSecond)],
      isStacked: false,
      fromZero: true,
      format: formatCount,
      tick: (value) => (value >= 10_000 ? `${plain(value / 1000)}k` : formatCount(value)),
    },
    {
      id: 'bytes',
      title: 'Bytes of a step',
      description: 'Bytes of a step over epochs: to all workers, and from them.',
      x,
      series: [
        line('to workers', 'blue', ({ bytesSent }) => bytesSent),
        line('from workers', 'orange', ({ bytesReceived }) => bytesReceived),
      ],
      isStacked: false,
      fromZero: true,
      format: formatBytes,
      tick: (value) => formatBytes(value).replace('.0 ', ' '),
    },
  ];
}

/** Without the digits that a sum of tenths gets by rounding: "0.3", not "0.30000000000000004". */
const plain = (value: number): string => String(Number(value.toPrecision(6)));
