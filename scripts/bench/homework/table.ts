/** The tables of `npm run homework`: the homework's last rows beside ours, over seeds, and where our seconds went. */
import { formatTable, NONE } from '../../tables/table.ts';
import type { BreakdownSeconds, HomeworkEpoch, RunRecord } from './records.ts';

const HEADINGS = ['model', 'run', 'seeds', 'loss', 'train acc', 'test acc', 'smallest to largest', 's/epoch', 'in all'];
const TIME_HEADINGS = ['model', 'run', 's/epoch', 'compute', 'apply', 'encode, wire, reduce', 'wait', 'other'];
/** Model and run. */
const NUM_NAMES = 2;

/** A row: runs of one series, or the homework's one run. */
export interface TableRow {
  readonly model: string;
  readonly run: string;
  readonly runs: readonly (Pick<RunRecord, 'epochs' | 'seconds'> & Partial<Pick<RunRecord, 'breakdown'>>)[];
}

/** Markdown. Figures are of the last epoch, means over the runs; times are means too: of an epoch's steps, and of whole runs. */
export function formatHomeworkTable(rows: readonly TableRow[]): string {
  return formatTable(HEADINGS, NUM_NAMES, rows.map(cellsOf));
}

/** Markdown: where the seconds of an epoch's steps went, means over the runs; rows that do not know are left out. */
export function formatTimeTable(rows: readonly TableRow[]): string {
  const cells = rows.flatMap(({ model, run, runs }) => {
    const known = runs.flatMap(({ breakdown }) => breakdown ?? []);
    if (known.length === 0) return [];
    const meanOf = (...parts: (keyof BreakdownSeconds)[]): string =>
      mean(known.map((breakdown) => sum(parts.map((part) => breakdown[part])))).toFixed(3);
    return [
      [
        `\`${model}\``,
        run,
        mean(known.map((breakdown) => sum(Object.values(breakdown)))).toFixed(3),
        meanOf('computeSeconds'),
        meanOf('applySeconds'),
        meanOf('encodeSeconds', 'wireSeconds', 'reduceSeconds'),
        meanOf('waitSeconds'),
        meanOf('otherSeconds'),
      ],
    ];
  });
  return formatTable(TIME_HEADINGS, NUM_NAMES, cells);
}

/** What the homework's report gives, as a row: its seconds are those of its epochs. */
export function homeworkRow(model: string, epochs: readonly HomeworkEpoch[]): TableRow {
  return { model, run: 'homework, one GPU', runs: [{ epochs, seconds: sum(epochs.map(([, , , , s]) => s)) }] };
}

function cellsOf({ model, run, runs }: TableRow): string[] {
  const last = runs.map(({ epochs }) => epochs.at(-1)!);
  const tests = last.map(([, , , test]) => test);
  const ofSteps = runs.map(({ epochs }) => sum(epochs.map(([, , , , s]) => s)) / epochs.length);
  const range = `${Math.min(...tests).toFixed(4)} to ${Math.max(...tests).toFixed(4)}`;
  return [
    `\`${model}\``,
    run,
    String(runs.length),
    mean(last.map(([, loss]) => loss)).toFixed(4),
    mean(last.map(([, , train]) => train)).toFixed(4),
    mean(tests).toFixed(4),
    runs.length > 1 ? range : NONE,
    mean(ofSteps).toFixed(mean(ofSteps) < 10 ? 2 : 1),
    `${mean(runs.map(({ seconds }) => seconds)).toFixed(0)} s`,
  ];
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
