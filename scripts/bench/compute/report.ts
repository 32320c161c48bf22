/** The result for people: a table, and below it what it holds for. One table for the terminal and for the document. */
import { describeMachine } from '../common/conditions.ts';
import type { BenchmarkResult, RowResult } from './results.ts';
import { formatFaults, formatMedian, formatMs, formatQuartiles, formatTable, NONE } from '../../tables/table.ts';
import { countOf } from '../../../protocol/counts.ts';

const HEADINGS = [
  'model',
  'engine',
  'ms a step',
  'PyTorch, ms',
  'PyTorch / ours',
  'quartiles',
  'GFLOP/s',
  'of peak',
  "PyTorch's",
  'page faults a step',
  "PyTorch's",
];

/** Markdown that also reads as plain text: columns are aligned. */
export function formatReport(result: BenchmarkResult): string {
  return [formatTable(HEADINGS, 2, result.rows.map(formatRow)), '', ...formatConditions(result)].join('\n');
}

function formatRow({ model, ours, pytorch, speedup }: RowResult): string[] {
  return [
    model,
    ours.description,
    formatMs(ours.stepMs.median),
    pytorch ? formatMs(pytorch.stepMs.median) : NONE,
    formatMedian(speedup),
    formatQuartiles(speedup),
    ours.gflops.toFixed(1),
    formatPercent(ours.fractionOfPeak),
    pytorch ? formatPercent(pytorch.fractionOfPeak) : NONE,
    formatFaults(ours.minorPageFaultsPerStep),
    pytorch ? formatFaults(pytorch.minorPageFaultsPerStep) : NONE,
  ];
}

function formatConditions({ conditions, settings, pytorch, peak, rows, notes }: BenchmarkResult): string[] {
  const { loadAverage, loadAverageAfter } = conditions;
  const { globalBatch, pairs, core } = settings;
  const where = core === null ? 'wherever the scheduler put it' : `core ${core}`;
  return [
    `- ${countOf(globalBatch, 'sample')} a step, one thread, on ${where} for either side; medians of ${countOf(pairs, 'pair')}`,
    `- matrix-multiply peak ${peak.gflops.toFixed(0)} GFLOP/s (${peak.library}, the best of this run)`,
    ...describeMachine(conditions).map((line) => `- ${line}`),
    ...(pytorch ? [`- ${pytorch.description}, ${pytorch.allocator}; ${pytorch.ways}`] : []),
    `- ${conditions.date.slice(0, 10)}, load average ${loadAverage.toFixed(1)} before, ${loadAverageAfter.toFixed(1)} after`,
    `- each side ran for ${formatPercent(lowestShare(rows))} or more of its measured time; the rest others had the core`,
    ...rows
      .filter(({ pairsMs }) => pairsMs.length < pairs)
      .map(
        ({ model, ours, pairsMs }) => `- ${ours.description} is slow on ${model}: ${countOf(pairsMs.length, 'pair')}`,
      ),
    ...notes.map((note) => `- ${note}`),
  ];
}

function lowestShare(rows: readonly RowResult[]): number {
  return Math.min(...rows.flatMap(({ ours, pytorch }) => [ours.shareOfCore, pytorch?.shareOfCore ?? Infinity]));
}

function formatPercent(fraction: number): string {
  return `${(100 * fraction).toFixed(0)} %`;
}
