/** What a confusion matrix says: its rows, and which classes are taken for which. */
import type { Confusion, ConfusionCell } from '../../reporting/confusion.ts';

/** A cell, by its classes. */
export type CellPlace = Pick<ConfusionCell, 'label' | 'predicted'>;

/** The class's name, or its label where it has none. */
export const classNameOf = (classes: readonly string[], label: number): string => classes[label] ?? `class ${label}`;

export interface ConfusionRow {
  readonly label: number;
  readonly numSamples: number;
  /** Part of the class that is predicted right, 0 to 1; null where the class has no samples. */
  readonly recall: number | null;
  /** By predicted class; undefined where there is none. */
  readonly cells: readonly (ConfusionCell | undefined)[];
}

/** The matrix with all its cells. `numClasses` may be larger than the labels that occur. */
export function rowsOf({ cells }: Confusion, numClasses: number): readonly ConfusionRow[] {
  const byPlace = new Map(cells.map((cell) => [cell.label * numClasses + cell.predicted, cell]));
  return Array.from({ length: numClasses }, (_, label) => {
    const row = Array.from({ length: numClasses }, (_, predicted) => byPlace.get(label * numClasses + predicted));
    const numSamples = row.reduce((sum, cell) => sum + (cell?.numSamples ?? 0), 0);
    return {
      label,
      numSamples,
      recall: numSamples > 0 ? (row[label]?.numSamples ?? 0) / numSamples : null,
      cells: row,
    };
  });
}

/** Cells off the diagonal with the most samples, the largest first. */
export function mostConfused({ cells }: Confusion, most: number): readonly ConfusionCell[] {
  return cells
    .filter(({ label, predicted, numSamples }) => label !== predicted && numSamples > 0)
    .sort((a, b) => b.numSamples - a.numSamples || a.label - b.label || a.predicted - b.predicted)
    .slice(0, most);
}

/** Part of all samples that is predicted right. */
export function accuracyOf({ cells, numSamples }: Confusion): number {
  const right = cells.filter(({ label, predicted }) => label === predicted);
  return numSamples > 0 ? right.reduce((sum, cell) => sum + cell.numSamples, 0) / numSamples : 0;
}

/**
 * How strongly a cell is tinted, 0 to 1. Errors are rare, and the largest of them would look like the smallest in
 * proportion to the diagonal: they have a scale of their own, by square roots.
 */
export function tintOf(share: number, isError: boolean, largestError: number): number {
  if (!isError) return share;
  return largestError > 0 ? Math.sqrt(share / largestError) : 0;
}
