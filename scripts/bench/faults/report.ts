/** The results for people: tables in Markdown, and below them what they hold for. */
import { describeMachine } from '../common/conditions.ts';
import type { Conditions } from '../common/conditions.ts';
import type { Summary } from '../../tables/statistics.ts';
import { formatMs, formatTable } from '../../tables/table.ts';
import type { DeathRow, StallRow } from './measure.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface FaultsResult {
  readonly benchmark: 'faults';
  readonly conditions: Conditions & { readonly loadAverageAfter: number };
  readonly pairs: number;
  readonly deaths: readonly DeathRow[];
  readonly stalls: readonly StallRow[];
}

const DEATH_HEADINGS = [
  ...['the worker is', 'time lost, ms', 'quartiles', 'noticed after, ms', 'step before, ms', 'right after'],
  ...['with another in its place', 'which took, s', 'whole run, s', 'quiet run, s'],
];
const STALL_HEADINGS = [
  ...['model', 'every', 'ms a step', 'without', 'with / without', 'quartiles'],
  ...['ms a checkpoint', 'quartiles', 'of the steps'],
];
const WORDS = { SIGKILL: 'killed', SIGSTOP: 'stopped' } as const;

export function formatFaults({ conditions, pairs, deaths, stalls }: FaultsResult): string {
  const { loadAverage, loadAverageAfter, date } = conditions;
  const tables = [
    ...(deaths.length > 0 ? [formatTable(DEATH_HEADINGS, 1, deaths.map(formatDeath))] : []),
    ...(stalls.length > 0 ? [formatTable(STALL_HEADINGS, 1, stalls.map(formatStall))] : []),
  ];
  const notes = [
    `native, one thread a worker; medians of ${countOf(pairs, 'round')}`,
    ...describeMachine(conditions),
    `${date.slice(0, 10)}, load average ${loadAverage.toFixed(1)} before, ${loadAverageAfter.toFixed(1)} after`,
  ];
  return [...tables, notes.map((line) => `- ${line}`).join('\n')].join('\n\n');
}

function formatDeath({ signal, figures, overQuietSeconds, quietSeconds }: DeathRow): string[] {
  const { lostMs, foundMs, beforeMs, afterMs, replacedMs, awayMs } = figures;
  const over = overQuietSeconds.median;
  return [
    WORDS[signal],
    formatMs(lostMs.median),
    range(lostMs, formatMs),
    formatMs(foundMs.median),
    ...[beforeMs, afterMs, replacedMs].map(({ median }) => formatMs(median)),
    (awayMs.median / 1000).toFixed(1),
    `${over < 0 ? '-' : '+'}${Math.abs(over).toFixed(1)}`,
    quietSeconds.median.toFixed(1),
  ];
}

function formatStall({ model, every, stepMs, withoutMs, ratio, stallMs, share }: StallRow): string[] {
  return [
    model,
    String(every),
    formatMs(stepMs.median),
    formatMs(withoutMs.median),
    ratio.median.toFixed(3),
    range(ratio, (value) => value.toFixed(3)),
    formatMs(stallMs.median),
    range(stallMs, formatMs),
    `${(100 * share.median).toFixed(1)} %`,
  ];
}

function range({ lowerQuartile, upperQuartile }: Summary, format: (value: number) => string): string {
  return `${format(lowerQuartile)} to ${format(upperQuartile)}`;
}
