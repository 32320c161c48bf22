/** What the program prints: Markdown tables. */
import type { Handling } from '../../network/cost-model.ts';
import { efficiencyOf } from '../../network/cost-model.ts';
import type { Case, Measured } from './experiment.ts';
import { describeLink } from '../../network/link.ts';
import type { OutlookRow } from './outlook.ts';

/** A case that was measured, beside what the model said of it. */
export interface MeasuredRow extends Case, Measured {
  readonly predictedMs: number;
  /** A step of one worker without a network. */
  readonly aloneMs: number;
}

/** Per step and worker; error: the prediction's distance from the measured time, in parts of that. */
export function formatMeasured(rows: readonly MeasuredRow[]): string {
  const head = [
    'model',
    'hosts',
    'link',
    'wire',
    'step, ms',
    'predicted, ms',
    'error',
    'compute, ms',
    'communication, ms',
  ];
  const more = ['wait, ms', 'up, KB', 'down, KB', 'samples/s', 'efficiency', 'others had'];
  const lines = rows.map((row) => {
    const { model, numWorkers, link, wire, figures, predictedMs, aloneMs, otherLoad } = row;
    const { stepMs, computeMs, communicationMs, waitMs, bytesUp, bytesDown, samplesPerSecond } = figures;
    return [
      ...[model, numWorkers, describeLink(link), wire, milliseconds(stepMs), milliseconds(predictedMs)],
      ...[signedPercent(errorOf(row)), milliseconds(computeMs), milliseconds(communicationMs), milliseconds(waitMs)],
      ...[kilobytes(bytesUp), kilobytes(bytesDown), samplesPerSecond.toFixed(0)],
      ...[percent(efficiencyOf(stepMs, aloneMs)), percent(otherLoad)],
    ];
  });
  return table([...head, ...more], lines, [0, 2, 3]);
}

/** One of the rows, in a line, while others are still to come. */
export function describeRow(row: MeasuredRow): string {
  const { figures, predictedMs, otherLoad } = row;
  const times = `${milliseconds(figures.stepMs)} ms a step, predicted ${milliseconds(predictedMs)} ms`;
  return `${times} (${signedPercent(errorOf(row))}); others had ${percent(otherLoad)} of the processors`;
}

/** (predicted - measured) / measured */
function errorOf({ predictedMs, figures }: Pick<MeasuredRow, 'predictedMs' | 'figures'>): number {
  return (predictedMs - figures.stepMs) / figures.stepMs;
}

/** How near the model came, in a sentence. */
export function summariseErrors(rows: readonly MeasuredRow[]): string {
  const sizes = rows.map((row) => Math.abs(errorOf(row))).sort((a, b) => a - b);
  const within = sizes.filter((size) => size <= 0.25).length;
  const median = sizes[Math.floor((sizes.length - 1) / 2)]!;
  return `Predictions within 25 % of the measured step: ${within} of ${rows.length}; median error ${percent(median)}, largest ${percent(sizes.at(-1)!)}.`;
}

export function formatAlone(rows: readonly { readonly model: string; readonly measured: Measured }[]): string {
  const lines = rows.map(({ model, measured: { figures, otherLoad } }) => {
    const { stepMs, computeMs, applyMs, samplesPerSecond } = figures;
    const times = [stepMs, computeMs, applyMs].map(milliseconds);
    return [model, ...times, samplesPerSecond.toFixed(0), percent(otherLoad)];
  });
  return table(['model', 'step, ms', 'compute, ms', 'apply, ms', 'samples/s', 'others had'], lines, [0]);
}

export interface HandlingRow {
  readonly hosts: string;
  readonly wire: string;
  readonly handling: Handling;
}

export function formatHandling(rows: readonly HandlingRow[]): string {
  const lines = rows.map(({ hosts, wire, handling: { fixedMs, msPerByte } }) => {
    return [hosts, wire, fixedMs.toFixed(2), (msPerByte * 1e6).toFixed(2)];
  });
  return table(['hosts', 'wire', 'fixed, ms', 'ms a MB'], lines, [0, 1]);
}

export function formatOutlook(rows: readonly OutlookRow[]): string {
  const lines = rows.map(({ model, wire, link, numWorkers, outcomes: { star, ring }, winner }) => [
    ...[model, wire, describeLink(link), numWorkers, milliseconds(star.stepMs), percent(star.efficiency)],
    ...[milliseconds(ring.stepMs), percent(ring.efficiency), winner],
  ]);
  const head = [
    'model',
    'wire',
    'link',
    'workers',
    'star, ms',
    'star, efficiency',
    'ring, ms',
    'ring, efficiency',
    'faster',
  ];
  return table(head, lines, [0, 1, 2, 8]);
}

/** A Markdown table that also reads as plain text: names to the left, numbers to the right. */
function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  left: readonly number[],
): string {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    left.includes(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  const rule = widths.map((width, column) => (left.includes(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const [headings, ...body] = cells.map((row) => row.map(pad));
  return [headings!, rule, ...body].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Three significant figures, whole from 100 on. */
function milliseconds(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(0);
}

function percent(fraction: number): string {
  const value = 100 * fraction;
  return `${value < 1 && value > 0 ? value.toFixed(2) : value.toFixed(0)} %`;
}

function signedPercent(fraction: number): string {
  return `${fraction >= 0 ? '+' : ''}${(100 * fraction).toFixed(0)} %`;
}
