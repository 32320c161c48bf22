/** Many runs as a table: for people, as CSV, sorted and filtered by what the columns are called. */
import { ConfigError } from '../../protocol/errors.ts';
import { formatDuration } from '../../coordinator/reporting/text.ts';
import type { RunSummary } from './run-summary.ts';

/** Columns, as --sort, --filter, --json and --csv call them. */
export const COLUMNS = [
  ...['run', 'model', 'data', 'recipe', 'workers', 'engine', 'epochs', 'plannedEpochs', 'bestEpoch', 'bestAccuracy'],
  ...['lastAccuracy', 'lastLoss', 'trainingSeconds', 'startedAt', 'status', 'path'],
] as (keyof RunSummary)[];

/** Highest or newest first where more is better, else alphabetical; `-COLUMN` the other way. Runs without a value come last. */
export function sortRuns(runs: readonly RunSummary[], by: string): RunSummary[] {
  const isTurned = by.startsWith('-');
  const column = columnOf('--sort', isTurned ? by.slice(1) : by);
  const isDescending = (column === 'bestAccuracy' || column === 'lastAccuracy' || column === 'startedAt') !== isTurned;
  const compare = (a: string | number, b: string | number): number => {
    const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en');
    return isDescending ? -order : order;
  };
  return [...runs].sort((a, b) => {
    const [left, right] = [a[column], b[column]];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return compare(left, right);
  });
}

/** `model=conv`, `bestAccuracy>0.9`, `status!=failed`; of text, `=` is also true of a part. */
export function filterRuns(runs: readonly RunSummary[], conditions: readonly string[]): RunSummary[] {
  const tests = conditions.map(parseCondition);
  return runs.filter((run) => tests.every((test) => test(run)));
}

function parseCondition(text: string): (run: RunSummary) => boolean {
  const [, name, operator, wanted] = /^\s*([A-Za-z]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*$/.exec(text) ?? [];
  if (name === undefined || wanted === undefined) {
    throw new ConfigError(`--filter ${text}: expected COLUMN=VALUE, or another of != > >= < <= between them`);
  }
  const column = columnOf('--filter', name);
  const number = Number(wanted);
  return (run) => {
    const value = run[column];
    if (operator === '=' || operator === '!=') {
      const isSame = typeof value === 'number' ? value === number : (value ?? '').includes(wanted);
      return isSame === (operator === '=');
    }
    if (value === null) return false;
    const order = typeof value === 'number' ? value - number : value.localeCompare(wanted, 'en');
    return { '>': order > 0, '>=': order >= 0, '<': order < 0, '<=': order <= 0 }[operator!]!;
  };
}

function columnOf(flagName: string, name: string): keyof RunSummary {
  const found = COLUMNS.find((column) => column.toLowerCase() === name.toLowerCase());
  if (found) return found;
  throw new ConfigError(`${flagName} ${name}: expected ${COLUMNS.join(', ')}`);
}

/** The table for a terminal. */
export function formatRuns(runs: readonly RunSummary[]): string {
  const percent = (accuracy: number | null) => (accuracy === null ? '-' : `${(100 * accuracy).toFixed(2)} %`);
  const rows = runs.map((run) => [
    run.run,
    run.model,
    run.data,
    run.recipe,
    String(run.workers),
    run.engine ?? '-',
    run.epochs === run.plannedEpochs ? String(run.epochs) : `${run.epochs} of ${run.plannedEpochs}`,
    run.bestEpoch === null ? '-' : `${percent(run.bestAccuracy)} (${run.bestEpoch})`,
    percent(run.lastAccuracy),
    run.trainingSeconds === null ? '-' : formatDuration(run.trainingSeconds),
    run.status,
  ]);
  const headings = [
    'run',
    'model',
    'data',
    'recipe',
    'workers',
    'engine',
    'epochs',
    'best (epoch)',
    'last',
    'time',
    'status',
  ];
  const isNumber = [4, 6, 7, 8, 9];
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        isNumber.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [headings, ...rows].map(line).join('\n');
}

/** RFC 4180, with a line of headings. */
export function toCsv(runs: readonly RunSummary[]): string {
  const cell = (value: string | number | null) => {
    const text = value === null ? '' : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [COLUMNS.join(','), ...runs.map((run) => COLUMNS.map((column) => cell(run[column])).join(','))].join('\n');
}
