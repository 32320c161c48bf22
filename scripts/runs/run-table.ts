/** Many runs as a table: for people, as CSV, sorted and filtered by what the columns are called. */
import { ConfigError } from '../../protocol/errors.ts';
import { formatDuration } from '../../coordinator/reporting/text.ts';
import { formatCsv } from '../tables/csv.ts';
import { formatFitted } from '../tables/fitted-table.ts';
import type { FittedColumn } from '../tables/fitted-table.ts';
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

const percent = (accuracy: number | null): string => (accuracy === null ? '-' : `${(100 * accuracy).toFixed(2)} %`);

const TABLE: readonly FittedColumn<RunSummary>[] = [
  { heading: 'run', cellOf: ({ run }) => run },
  { heading: 'model', cellOf: ({ model }) => model, goesAs: 7 },
  { heading: 'data', cellOf: ({ data }) => data, goesAs: 6 },
  { heading: 'recipe', cellOf: ({ recipe }) => recipe, goesAs: 3 },
  { heading: 'workers', isNumber: true, cellOf: ({ workers }) => String(workers), goesAs: 2 },
  { heading: 'engine', cellOf: ({ engine }) => engine ?? '-', goesAs: 1 },
  {
    heading: 'epochs',
    isNumber: true,
    cellOf: ({ epochs, plannedEpochs }) => (epochs === plannedEpochs ? `${epochs}` : `${epochs} of ${plannedEpochs}`),
    goesAs: 8,
  },
  { heading: 'best', isNumber: true, cellOf: ({ bestAccuracy }) => percent(bestAccuracy), goesAs: 11 },
  { heading: 'at epoch', isNumber: true, cellOf: ({ bestEpoch }) => String(bestEpoch ?? '-'), goesAs: 5 },
  { heading: 'last', isNumber: true, cellOf: ({ lastAccuracy }) => percent(lastAccuracy), goesAs: 10 },
  {
    heading: 'time',
    isNumber: true,
    cellOf: ({ trainingSeconds }) => (trainingSeconds === null ? '-' : formatDuration(trainingSeconds)),
    goesAs: 4,
  },
  { heading: 'status', cellOf: ({ status }) => status, goesAs: 9 },
];

/** The table for a terminal of that many characters: columns that do not fit are left to `--json` and `--csv`. */
export function formatRuns(runs: readonly RunSummary[], terminalWidth = Infinity): string {
  return formatFitted(TABLE, runs, terminalWidth);
}

/** RFC 4180, with a line of headings. */
export function toCsv(runs: readonly RunSummary[]): string {
  return formatCsv(
    COLUMNS,
    runs.map((run) => COLUMNS.map((column) => run[column])),
  );
}
