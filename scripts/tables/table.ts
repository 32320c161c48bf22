/** Tables of results: Markdown that also reads as plain text. */
import type { Summary } from './statistics.ts';

/** What a cell says that has nothing to say. */
export const NONE = '-';

/** Columns are padded; the first `numNames` of them stand to the left, numbers to the right. */
export function formatTable(
  headings: readonly string[],
  numNames: number,
  rows: readonly (readonly string[])[],
): string {
  const widths = headings.map((_, column) => Math.max(...[headings, ...rows].map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i < numNames ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i < numNames ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(headings), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

export function formatMs(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 2 : 1);
}

export function formatFaults(faults: number): string {
  return faults.toFixed(faults < 10 ? 1 : 0);
}

export function formatMedian(ratio: Summary | undefined): string {
  return ratio ? ratio.median.toFixed(2) : NONE;
}

export function formatQuartiles(ratio: Summary | undefined): string {
  return ratio ? `${ratio.lowerQuartile.toFixed(2)} to ${ratio.upperQuartile.toFixed(2)}` : NONE;
}
