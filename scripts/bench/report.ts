/** The result for people: a table, and below it what it holds for. One table for the terminal and for the document. */
import type { BenchmarkResult, RowResult } from './results.ts';

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
const NONE = '-';

/** Markdown that also reads as plain text: columns are aligned. */
export function formatReport(result: BenchmarkResult): string {
  return [formatTable(result.rows), '', ...formatConditions(result)].join('\n');
}

function formatTable(rows: readonly RowResult[]): string {
  const cells = [HEADINGS, ...rows.map(formatRow)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  // Names to the left, numbers to the right.
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i < 2 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  const [headings, ...body] = cells.map(line);
  return [headings, rule, ...body].join('\n');
}

function formatRow({ model, ours, pytorch, speedup }: RowResult): string[] {
  return [
    model,
    ours.description,
    formatMs(ours.stepMs.median),
    pytorch ? formatMs(pytorch.stepMs.median) : NONE,
    speedup ? speedup.median.toFixed(2) : NONE,
    speedup ? `${speedup.lowerQuartile.toFixed(2)} to ${speedup.upperQuartile.toFixed(2)}` : NONE,
    ours.gflops.toFixed(1),
    formatPercent(ours.fractionOfPeak),
    pytorch ? formatPercent(pytorch.fractionOfPeak) : NONE,
    formatFaults(ours.minorPageFaultsPerStep),
    pytorch ? formatFaults(pytorch.minorPageFaultsPerStep) : NONE,
  ];
}

function formatConditions({ conditions, settings, pytorch, peak, rows, notes }: BenchmarkResult): string[] {
  const { versions, loadAverage, loadAverageAfter } = conditions;
  const { globalBatch, pairs, core } = settings;
  const where = core === null ? 'wherever the scheduler put it' : `core ${core}`;
  return [
    `- ${globalBatch} samples a step, one thread, on ${where} for either side; medians of ${pairs} pairs`,
    `- matrix-multiply peak ${peak.gflops.toFixed(0)} GFLOP/s (${peak.library}, the best of this run)`,
    `- ${conditions.cpu}, ${conditions.numCores} cores, ${conditions.memoryGiB} GiB, ${conditions.platform}`,
    `- gradsock ${versions.gradsock}, Node ${versions.node}, ONNX Runtime ${versions.onnxruntime}` +
      (versions.compiler === undefined ? '' : `, kernels by ${versions.compiler}`),
    ...(pytorch ? [`- ${pytorch.description}, ${pytorch.allocator}; ${pytorch.ways}`] : []),
    `- ${conditions.date.slice(0, 10)}, load average ${loadAverage.toFixed(1)} before, ${loadAverageAfter.toFixed(1)} after`,
    `- each side ran for ${formatPercent(lowestShare(rows))} or more of its measured time; the rest others had the core`,
    ...rows
      .filter(({ pairsMs }) => pairsMs.length < pairs)
      .map(({ model, ours, pairsMs }) => `- ${ours.description} is slow on ${model}: ${pairsMs.length} pairs`),
    ...notes.map((note) => `- ${note}`),
  ];
}

function lowestShare(rows: readonly RowResult[]): number {
  return Math.min(...rows.flatMap(({ ours, pytorch }) => [ours.shareOfCore, pytorch?.shareOfCore ?? Infinity]));
}

function formatMs(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 2 : 1);
}

function formatPercent(fraction: number): string {
  return `${(100 * fraction).toFixed(0)} %`;
}

function formatFaults(faults: number): string {
  return faults.toFixed(faults < 10 ? 1 : 0);
}
