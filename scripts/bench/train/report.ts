/** The result for people: two tables, and below them what they hold for. */
import { describeMachine } from '../common/conditions.ts';
import { formatFaults, formatMedian, formatMs, formatQuartiles, formatTable, NONE } from '../../tables/table.ts';
import type { RowKey, ScalingRow, StepRow, TrainResult } from './results.ts';
import { countOf } from '../../../protocol/counts.ts';

const KEY_HEADINGS = ['model', 'workers', 'wire', 'global batch'];
const NUM_NAMES = 3;
const STEP_HEADINGS = [
  ...['ms a step', 'PyTorch, ms', 'PyTorch / ours', 'quartiles', 'samples/s', "PyTorch's"],
  ...['page faults a step', 'of all workers', "PyTorch's"],
];
const SCALING_HEADINGS = ['over one process', 'quartiles', 'DDP over one', 'quartiles'];

/** Markdown that also reads as plain text: columns are aligned. */
export function formatTraining(result: TrainResult): string {
  return [
    formatTable([...KEY_HEADINGS, ...STEP_HEADINGS], NUM_NAMES, result.rows.map(formatSteps)),
    formatTable([...KEY_HEADINGS, ...SCALING_HEADINGS], NUM_NAMES, result.scaling.map(formatScaling)),
    formatConditions(result).join('\n'),
  ].join('\n\n');
}

function formatKey({ model, numWorkers, globalBatch, wire }: RowKey): string[] {
  return [model, String(numWorkers), wire ?? NONE, String(globalBatch)];
}

function formatSteps(row: StepRow): string[] {
  const { ours, pytorch, speedup } = row;
  return [
    ...formatKey(row),
    formatMs(ours.stepMs.median),
    pytorch ? formatMs(pytorch.stepMs.median) : NONE,
    formatMedian(speedup),
    formatQuartiles(speedup),
    ours.samplesPerSecond.toFixed(0),
    pytorch ? pytorch.samplesPerSecond.toFixed(0) : NONE,
    formatFaults(ours.pageFaults.leader),
    ours.pageFaults.workers === undefined ? NONE : formatFaults(ours.pageFaults.workers),
    pytorch ? formatFaults(pytorch.pageFaults.leader) : NONE,
  ];
}

function formatScaling(row: ScalingRow): string[] {
  const { ours, ddp } = row;
  return [...formatKey(row), formatMedian(ours), formatQuartiles(ours), formatMedian(ddp), formatQuartiles(ddp)];
}

function formatConditions({ conditions, settings, pytorch, rows, notes }: TrainResult): string[] {
  const { loadAverage, loadAverageAfter, date } = conditions;
  const { singleBatch, pairs } = settings;
  const [first] = rows;
  return [
    ...(first ? [`${first.ours.description}, one thread a process; medians of ${countOf(pairs, 'pair')}`] : []),
    `one process: ${countOf(singleBatch, 'sample')} a step; ours without sockets, PyTorch's without DDP`,
    ...describeMachine(conditions),
    ...(first?.pytorch && pytorch ? [`${first.pytorch.description}, ${pytorch.allocator}`] : []),
    ...Object.entries(pytorch?.ways ?? {}).map(([what, way]) => `PyTorch on ${what}: ${way}`),
    `${date.slice(0, 10)}, load average ${loadAverage.toFixed(1)} before, ${loadAverageAfter.toFixed(1)} after`,
    ...notes,
  ].map((line) => `- ${line}`);
}
