/** The list of runs, searched and sorted. */
import type { RunRow } from '../runs-messages.ts';

export interface RunColumn {
  readonly name: keyof RunRow;
  readonly title: string;
  readonly isNumber: boolean;
  /** Whether the first click shows the largest, or the newest, first. */
  readonly isDescending: boolean;
}

const column = (name: keyof RunRow, title: string, isNumber = false, isDescending = isNumber): RunColumn => ({
  ...{ name, title, isNumber, isDescending },
});

export const RUN_COLUMNS: readonly RunColumn[] = [
  column('name', 'Run'),
  column('state', 'State'),
  column('model', 'Model'),
  column('data', 'Data'),
  column('recipe', 'Recipe'),
  column('epochs', 'Epochs', true),
  column('bestAccuracy', 'Best accuracy', true),
  column('loss', 'Loss', true, false),
  column('seconds', 'Time', true, false),
  column('workers', 'Workers', true),
  column('samplesPerSecond', 'Samples/s', true),
  column('startedAt', 'Started', false, true),
];

export interface RunOrder {
  readonly by: keyof RunRow;
  readonly isDescending: boolean;
}

export const NEWEST_FIRST: RunOrder = { by: 'startedAt', isDescending: true };

/** What a click on a column makes of the order: that column, or the other way round. */
export function orderAfter(order: RunOrder, { name, isDescending }: RunColumn): RunOrder {
  return { by: name, isDescending: order.by === name ? !order.isDescending : isDescending };
}

/** Runs without a value come last, either way. Equal ones stay in their order. */
export function sortRuns(runs: readonly RunRow[], { by, isDescending }: RunOrder): readonly RunRow[] {
  return [...runs].sort((a, b) => {
    const [left, right] = [a[by], b[by]];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    const isNumber = typeof left === 'number' && typeof right === 'number';
    const order = isNumber ? left - right : String(left).localeCompare(String(right), 'en', { numeric: true });
    return isDescending ? -order : order;
  });
}

/** Runs that have every word of the search somewhere in what is written of them. */
export function searchRuns(runs: readonly RunRow[], search: string): readonly RunRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return runs.filter(({ name, model, data, recipe, state }) => {
    const text = [name, model, data, recipe, state].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
