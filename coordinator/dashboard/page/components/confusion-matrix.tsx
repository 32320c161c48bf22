/**
 * ConfusionMatrix: a heat map that is a table, with true classes in rows and predicted classes in columns. Where cells can be
 * chosen it is one stop of the Tab key: arrows move within it, Enter chooses.
 */
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { ConfusionCell } from '../../../reporting/confusion.ts';
import { classNameOf, tintOf } from '../confusion-facts.ts';
import type { CellPlace, ConfusionRow } from '../confusion-facts.ts';
import { formatCount, formatPercent } from '../format.ts';
import { Scrolling } from './section.tsx';

export interface ConfusionMatrixProps {
  readonly rows: readonly ConfusionRow[];
  readonly classes: readonly string[];
  /** The cell that is chosen. */
  readonly cell: CellPlace | undefined;
  /** Absent where nothing can be chosen. */
  readonly onCell: ((cell: CellPlace) => void) | undefined;
}

/** Matrices of more rows have smaller cells. */
const MOST_LARGE_ROWS = 12;
/** Characters of a name that is as wide as a cell. */
const SHORT_NAME = 3;

/** Rows and columns that a key moves by. */
const MOVES: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

export function ConfusionMatrix({ rows, classes, cell, onCell }: ConfusionMatrixProps) {
  const table = useRef<HTMLTableElement>(null);
  const [focused, setFocused] = useState<CellPlace>({ label: 0, predicted: 0 });
  const last = rows.length - 1;
  const hasShortNames = rows.every(({ label }) => classNameOf(classes, label).length <= SHORT_NAME);
  const largestError = Math.max(0, ...rows.map((row) => largestErrorOf(row)));
  const onKeyDown = (event: KeyboardEvent) => {
    if (!onCell) return;
    const move = MOVES[event.key];
    if (move) {
      const label = within(focused.label + move[0], last);
      const predicted = within(focused.predicted + move[1], last);
      setFocused({ label, predicted });
      table.current?.querySelector<HTMLElement>(`[data-place="${label} ${predicted}"]`)?.focus();
    } else if (event.key === 'Enter' || event.key === ' ') {
      onCell(focused);
    } else {
      return;
    }
    event.preventDefault();
  };
  return (
    <Matrix isGrid={onCell !== undefined}>
      <table
        class={`matrix ${rows.length > MOST_LARGE_ROWS ? 'small' : ''} ${hasShortNames ? 'short-names' : ''}`}
        ref={table}
        role={onCell ? 'grid' : undefined}
        aria-label="Confusion matrix: true classes in rows, predicted classes in columns"
        onKeyDown={onKeyDown}
      >
        <thead>
          <tr>
            <td class="corner">true \ predicted</td>
            {rows.map(({ label }) => (
              <th scope="col" key={label}>
                <span>{classNameOf(classes, label)}</span>
              </th>
            ))}
            <th scope="col" class="recall">
              <span>recall</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.label}>
              <th scope="row">{classNameOf(classes, row.label)}</th>
              {row.cells.map((found, predicted) => (
                <Cell
                  key={predicted}
                  row={row}
                  predicted={predicted}
                  found={found}
                  largestError={largestError}
                  isChosen={cell?.label === row.label && cell.predicted === predicted}
                  isFocused={focused.label === row.label && focused.predicted === predicted}
                  onChoose={
                    onCell &&
                    (() => {
                      setFocused({ label: row.label, predicted });
                      onCell({ label: row.label, predicted });
                    })
                  }
                />
              ))}
              <td class="recall">{formatPercent(row.recall, 1)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {onCell && <p class="note">A cell shows its images: click it, or move to it by arrows and press Enter.</p>}
    </Matrix>
  );
}

/** A grid's cells take the focus, and scroll it by that; a mere table needs a region that does. */
function Matrix({ isGrid, children }: { readonly isGrid: boolean; readonly children: ComponentChildren }) {
  return isGrid ? <div class="scrolling">{children}</div> : <Scrolling label="Confusion matrix">{children}</Scrolling>;
}

interface CellProps {
  readonly row: ConfusionRow;
  readonly predicted: number;
  readonly found: ConfusionCell | undefined;
  readonly largestError: number;
  readonly isChosen: boolean;
  readonly isFocused: boolean;
  readonly onChoose: (() => void) | undefined;
}

function Cell({ row, predicted, found, largestError, isChosen, isFocused, onChoose }: CellProps) {
  const isError = row.label !== predicted;
  const numSamples = found?.numSamples ?? 0;
  const tint = row.numSamples > 0 ? tintOf(numSamples / row.numSamples, isError, largestError) : 0;
  const look = {
    class: `cell ${isError ? 'error' : 'right'} ${isChosen ? 'chosen' : ''}`,
    style: { '--tint': tint.toFixed(3) },
    'aria-label': numSamples === 0 ? '0' : undefined,
  };
  const text = numSamples > 0 ? formatCount(numSamples) : '';
  if (!onChoose) return <td {...look}>{text}</td>;
  return (
    <td
      {...look}
      role="gridcell"
      data-place={`${row.label} ${predicted}`}
      tabIndex={isFocused ? 0 : -1}
      aria-selected={isChosen}
      onClick={onChoose}
    >
      {text}
    </td>
  );
}

/** Part of the class that the most frequent wrong prediction has. */
const largestErrorOf = ({ label, cells, numSamples }: ConfusionRow): number =>
  numSamples === 0
    ? 0
    : Math.max(0, ...cells.map((cell, predicted) => (predicted === label ? 0 : (cell?.numSamples ?? 0) / numSamples)));

const within = (value: number, last: number): number => Math.min(last, Math.max(0, value));
