/** The settings of a sweep in order, the best first, and their table. */
import { formatTable, NONE } from '../tables/table.ts';
import type { TrialRecord } from './directory.ts';
import { writtenName } from './flags.ts';
import type { Flags } from './flags.ts';
import type { SweepPlan } from './trials.ts';

/** A setting, judged by the trials that it has, one for each seed. */
export interface RankedSetting {
  readonly varied: Flags;
  readonly trials: readonly number[];
  /** Of any trial failed, else stopped, the setting is so. */
  readonly status: TrialRecord['status'];
  /** Means over the trials of the objective at the last epoch and at the best; null where a trial has none. */
  readonly last: number | null;
  readonly best: number | null;
  /** The trials' values at their last epochs. */
  readonly lasts: readonly number[];
  readonly bestEpochs: readonly number[];
  readonly epochs: readonly number[];
  /** Of all its trials together. */
  readonly seconds: number;
}

const STATUSES: readonly TrialRecord['status'][] = ['completed', 'stopped', 'failed'];

/**
 * By the mean of the objective at the last epoch, which is of the model that a run leaves. Completed settings come first:
 * what was stopped or failed has a value that no whole run stands for.
 */
export function rankSettings(
  { trials }: Pick<SweepPlan, 'trials'>,
  records: ReadonlyMap<number, TrialRecord>,
): RankedSetting[] {
  const settings = new Map<number, TrialRecord[]>();
  for (const { number, setting } of trials) {
    const record = records.get(number);
    if (record) settings.set(setting, [...(settings.get(setting) ?? []), record]);
  }
  return [...settings.values()]
    .map(summarise)
    .sort((a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status) || (b.last ?? -1) - (a.last ?? -1));
}

function summarise(records: readonly TrialRecord[]): RankedSetting {
  const lasts = records.flatMap(({ last }) => last ?? []);
  return {
    varied: records[0]!.flags,
    trials: records.map(({ trial }) => trial),
    status: STATUSES.findLast((status) => records.some((record) => record.status === status))!,
    last: meanOfAll(records.map(({ last }) => last)),
    best: meanOfAll(records.map(({ best }) => best)),
    lasts,
    bestEpochs: records.flatMap(({ bestEpoch }) => bestEpoch ?? []),
    epochs: records.map(({ epochs }) => epochs),
    seconds: records.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

function meanOfAll(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length < values.length ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Markdown, which is also what the terminal shows. */
export function tableOf(
  { variedNames, objective }: Pick<SweepPlan, 'variedNames' | 'objective'>,
  settings: readonly RankedSetting[],
): string {
  const hasSeeds = settings.some(({ trials }) => trials.length > 1);
  const headings = [
    'status',
    'rank',
    objective,
    ...(hasSeeds ? ['spread'] : []),
    'best',
    'at epoch',
    ...variedNames.map(writtenName),
    'epochs',
    'seconds',
    hasSeeds ? 'trials' : 'trial',
  ];
  const rows = settings.map(({ varied, trials, status, last, best, lasts, bestEpochs, epochs, seconds }, index) => [
    status,
    String(index + 1),
    formatValue(last),
    ...(hasSeeds ? [lasts.length > 1 ? (Math.max(...lasts) - Math.min(...lasts)).toFixed(4) : NONE] : []),
    formatValue(best),
    formatList(bestEpochs),
    ...variedNames.map((name) => String(varied[name])),
    new Set(epochs).size === 1 ? String(epochs[0]) : formatList(epochs),
    seconds.toFixed(1),
    formatList(trials),
  ]);
  return `${formatTable(headings, 1, rows)}\n`;
}

function formatValue(value: number | null): string {
  return value === null ? NONE : value.toFixed(4);
}

function formatList(values: readonly number[]): string {
  return values.length === 0 ? NONE : values.join(', ');
}
