/** What a person reads of a scaling measurement: the table, and what is to be known beside it. Also as CSV and Markdown. */
import { countOf } from '../../protocol/counts.ts';
import { formatBytes, formatMs, wrapText } from '../../coordinator/reporting/text.ts';
import { formatCsv } from '../tables/csv.ts';
import { formatFitted } from '../tables/fitted-table.ts';
import type { FittedColumn } from '../tables/fitted-table.ts';
import { formatTable } from '../tables/table.ts';
import type { ScaleRecord } from './record.ts';
import type { MeasuredPoint, PredictedPoint, ScaleSummary, ScalingSummary } from './summary.ts';

/** The widest that a line is, also where the terminal is wider or there is none. */
const WIDEST = 100;

interface Row extends MeasuredPoint {
  readonly predicted: PredictedPoint;
}

const percent = (fraction: number): string => `${Math.round(100 * fraction)} %`;
const whole = (value: number): string => Math.round(value).toLocaleString('en');

const columnsOf = (hasSharedCores: boolean): readonly FittedColumn<Row>[] => [
  { heading: 'scaling', cellOf: ({ scaling }) => scaling },
  { heading: 'workers', isNumber: true, cellOf: ({ numWorkers }) => String(numWorkers) },
  { heading: 'samples/s', isNumber: true, cellOf: ({ samplesPerSecond }) => whole(samplesPerSecond) },
  { heading: 'speed-up', isNumber: true, goesAs: 4, cellOf: ({ speedUp }) => speedUp.toFixed(2) },
  { heading: 'efficiency', isNumber: true, cellOf: ({ efficiency }) => percent(efficiency) },
  ...(hasSharedCores
    ? [
        {
          heading: 'per core',
          isNumber: true,
          goesAs: 5,
          cellOf: ({ coreEfficiency = 0 }: Row) => percent(coreEfficiency),
        },
      ]
    : []),
  { heading: 'step', isNumber: true, goesAs: 3, cellOf: ({ stepMs }) => formatMs(stepMs) },
  { heading: 'model', isNumber: true, goesAs: 2, cellOf: ({ predicted }) => formatMs(predicted.stepMs) },
  { heading: 'sent a step', isNumber: true, goesAs: 1, cellOf: ({ bytesSent }) => formatBytes(bytesSent) },
  { heading: 'comm.', isNumber: true, goesAs: 6, cellOf: ({ communicationShare }) => percent(communicationShare) },
];

const rowsOf = ({ scalings }: ScaleSummary): Row[] =>
  scalings.flatMap(({ points, predicted }) => points.map((point, i) => ({ ...point, predicted: predicted[i]! })));

const hasSharedCores = ({ place }: ScaleRecord): boolean => place.sharedCores !== null;

/** The table, and lines beside it, for a terminal of this many characters. */
export function formatScale(record: ScaleRecord, summary: ScaleSummary, terminalWidth = WIDEST): string {
  const width = Math.min(WIDEST, terminalWidth);
  const table = formatFitted(columnsOf(hasSharedCores(record)), rowsOf(summary), width);
  return [table, '', ...remarksOf(record, summary).map((line) => wrapText(line, width))].join('\n');
}

/** For docs/results: every column. */
export function formatMarkdown(record: ScaleRecord, summary: ScaleSummary): string {
  const columns = columnsOf(hasSharedCores(record));
  const cells = rowsOf(summary).map((row) => columns.map(({ cellOf }) => cellOf(row)));
  const table = formatTable(
    columns.map(({ heading }) => heading),
    1,
    cells,
  );
  const { cpu, gradsock, node, startedAt, command } = record;
  const where = `\`gradsock ${command}\`: ${cpu}; gradsock ${gradsock}, Node ${node}, ${startedAt.slice(0, 10)}.`;
  return [where, table, ...remarksOf(record, summary).map((line) => `- ${line}`)]
    .join('\n\n')
    .replaceAll('\n\n- ', '\n- ');
}

const CSV_COLUMNS = [
  ...['scaling', 'numWorkers', 'globalBatch', 'stepsPerEpoch', 'numRuns', 'allReduce', 'samplesPerSecond'],
  ...['lowerQuartile', 'upperQuartile', 'speedUp', 'efficiency', 'coreEfficiency', 'stepMs', 'computeMs'],
  ...['communicationMs', 'waitMs', 'applyMs', 'communicationShare', 'bytesSent', 'sharedBytes'],
] as (keyof MeasuredPoint)[];
const PREDICTED_COLUMNS = ['stepMs', 'samplesPerSecond', 'efficiency'] as const;

/** A row for each measured point, and the one of twice as many workers, of which the model alone speaks. */
export function formatScaleCsv({ scalings }: ScaleSummary): string {
  const headings = [
    ...CSV_COLUMNS,
    ...PREDICTED_COLUMNS.map((name) => `predicted${name[0]!.toUpperCase()}${name.slice(1)}`),
  ];
  const row = (point: Partial<MeasuredPoint>, predicted: PredictedPoint) => [
    ...CSV_COLUMNS.map((column) => point[column]),
    ...PREDICTED_COLUMNS.map((column) => predicted[column]),
  ];
  const rows = scalings.flatMap(({ points, predicted, outlook }) => {
    const { scaling, numWorkers, globalBatch, stepsPerEpoch } = outlook;
    const measured = points.map((point, i) => row(point, predicted[i]!));
    return [...measured, row({ scaling, numWorkers, globalBatch, stepsPerEpoch, numRuns: 0 }, outlook)];
  });
  return `${formatCsv(headings, rows)}\n`;
}

function remarksOf(record: ScaleRecord, summary: ScaleSummary): string[] {
  return [
    ...bitsRemark(record, summary),
    ...coresRemark(record),
    ...sharedMemoryRemark(summary),
    modelRemark(record, summary),
    ...summary.scalings.map((scaling) => outlookRemark(record, scaling)),
    `on ${record.place.description}; medians of ${countOf(record.plan.repeat, 'run')} of ` +
      `${countOf(record.plan.epochs - 1, 'measured epoch')} each; ${countOf(record.plan.microbatches, 'microbatch', 'microbatches')} a step`,
  ];
}

function bitsRemark({ plan, runs }: ScaleRecord, { parametersSha256: sums }: ScaleSummary): string[] {
  if (!plan.scalings.includes('strong')) return [];
  const [sum] = sums;
  const ofStrong = runs.filter(({ globalBatch }) => globalBatch === plan.globalBatch);
  const numbers = new Set(ofStrong.map(({ numWorkers }) => numWorkers)).size;
  if (sums.length === 1) {
    const what = numbers === 1 ? 'every run' : `all ${numbers} numbers of workers`;
    return [`strong scaling: equal parameters after ${what}, sha256 ${sum!.slice(0, 16)}`];
  }
  const why =
    plan.wire !== 'f32'
      ? `--wire ${plan.wire} rounds the sum of each worker`
      : runs.some(({ allReduce }) => allReduce === 'ring')
        ? 'the bits of a ring depend on the number of workers'
        : 'machines of another instruction set, or other engines, compute other bits';
  return [`strong scaling: ${sums.length} different parameters: ${why}`];
}

function coresRemark({ plan, place: { sharedCores: cores } }: ScaleRecord): string[] {
  const most = plan.workers.at(-1)!;
  if (cores === null) return [];
  const turns =
    most > cores
      ? `: more than ${countOf(cores, 'worker')} take turns, so ${most} workers do at most the work of ${cores}`
      : '';
  return [
    `all workers and the coordinator share ${countOf(cores, 'core')}${turns}; "per core" counts the cores that workers have`,
  ];
}

function sharedMemoryRemark({ scalings }: ScaleSummary): string[] {
  const most = Math.max(...scalings.flatMap(({ points }) => points.map(({ sharedBytes }) => sharedBytes)));
  return most === 0 ? [] : [`up to ${formatBytes(most)} a step stay in shared memory, which no link carries`];
}

function modelRemark({ place }: ScaleRecord, { model: { largestError, handlingMs } }: ScaleSummary): string {
  const error = `within ${percent(largestError)} of every measured step`;
  // Of hosts the links are not known: what they take is part of what is fitted.
  const what = place.link === null && place.sharedCores === null ? 'handling and network' : 'handling';
  return `the cost model's line is ${error}, with ${formatMs(handlingMs)} of ${what} a worker and step, which is fitted`;
}

function outlookRemark({ place }: ScaleRecord, { scaling, outlook }: ScalingSummary): string {
  const where = place.sharedCores === null ? '' : ' on these cores';
  return (
    `${scaling} scaling, predicted: ${countOf(outlook.numWorkers, 'worker')}${where} train ` +
    `${whole(outlook.samplesPerSecond)} samples/s, efficiency ${percent(outlook.efficiency)}`
  );
}
