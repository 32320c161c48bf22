/** Tables for a terminal: of columns that do not fit, the least important go first. */

export interface FittedColumn<Row> {
  readonly heading: string;
  readonly isNumber?: boolean;
  readonly cellOf: (row: Row) => string;
  /** The lowest goes first where a terminal is too narrow for all. Default: the column stays. */
  readonly goesAs?: number;
}

/** Lines of at most `terminalWidth` characters, unless a column that stays is wider. */
export function formatFitted<Row>(
  table: readonly FittedColumn<Row>[],
  rows: readonly Row[],
  terminalWidth = Infinity,
): string {
  let columns = table.map((column) => {
    const cells = [column.heading, ...rows.map(column.cellOf)];
    return { ...column, cells, width: Math.max(...cells.map(({ length }) => length)) };
  });
  const widthOf = (some: typeof columns) => some.reduce((sum, { width }) => sum + width + 2, -2);
  while (widthOf(columns) > terminalWidth && columns.length > 1) {
    const first = Math.min(...columns.map(({ goesAs = Infinity }) => goesAs));
    if (first === Infinity) break;
    columns = columns.filter(({ goesAs }) => goesAs !== first);
  }
  const line = (_: unknown, row: number) =>
    columns
      .map(({ cells, width, isNumber }) => (isNumber ? cells[row]!.padStart(width) : cells[row]!.padEnd(width)))
      .join('  ')
      .trimEnd();
  return Array.from({ length: rows.length + 1 }, line).join('\n');
}
