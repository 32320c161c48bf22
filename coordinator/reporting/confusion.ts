/** The confusion matrix of an epoch: which classes its evaluation took for which, and the samples with the largest losses. */
import type { Labels } from '../../protocol/data/labels.ts';

/** The confusion matrix of one epoch, with the samples that it is best looked at with. */
export interface Confusion {
  readonly epoch: number;
  readonly split: 'test' | 'validation';
  readonly numSamples: number;
  /** Cells that have samples, in the order of their labels, and of one label in that of their predictions. */
  readonly cells: readonly ConfusionCell[];
}

export interface ConfusionCell {
  readonly label: number;
  readonly predicted: number;
  readonly numSamples: number;
  /**
   * Indices in the split of those with the largest losses, the worst first and of equal ones the first in the split first;
   * and these losses in nats, rounded to 4 decimals. What is no number, or beyond {@link MOST_LOSS}, is that.
   */
  readonly worst: readonly number[];
  readonly losses: readonly number[];
}

/** What JSON has in place of a loss that is infinite, NaN, or larger. */
export const MOST_LOSS = 1e9;

/** Samples that a cell lists at most, and all cells together. */
const MOST_OF_CELL = 20;
const MOST_OF_ALL = 4000;

/** What an epoch's evaluation found. */
export interface EvaluatedEpoch {
  readonly epoch: number;
  readonly split: Confusion['split'];
  /** [numSamples] */
  readonly labels: Labels;
  readonly predicted: ArrayLike<number>;
  readonly losses: ArrayLike<number>;
  readonly numClasses: number;
}

/** A cell that is being filled: its worst samples so far, in order. */
interface OpenCell {
  numSamples: number;
  readonly worst: { readonly index: number; readonly loss: number }[];
}

/** Counts samples by label and prediction, and lists the worst of each cell. The result does not depend on which worker evaluated a sample. */
export function confusionOf({ epoch, split, labels, predicted, losses, numClasses }: EvaluatedEpoch): Confusion {
  const numSamples = labels.length;
  const open = new Map<number, OpenCell>();
  const cellOf = (index: number): number => labels[index]! * numClasses + predicted[index]!;
  for (let index = 0; index < numSamples; index++) {
    const cell = open.get(cellOf(index));
    if (cell) cell.numSamples++;
    else open.set(cellOf(index), { numSamples: 1, worst: [] });
  }
  const mostOfCell = listedOf([...open.values()]);
  for (let index = 0; index < numSamples; index++) {
    keepWorst(open.get(cellOf(index))!.worst, mostOfCell, index, toldLoss(losses[index]!));
  }
  if (open.size > MOST_OF_ALL) leaveWorst([...open.values()]);
  const cells = [...open]
    .sort(([a], [b]) => a - b)
    .map(([cell, { numSamples: ofCell, worst }]) => ({
      label: Math.floor(cell / numClasses),
      predicted: cell % numClasses,
      numSamples: ofCell,
      worst: worst.map(({ index }) => index),
      losses: worst.map(({ loss }) => rounded(loss)),
    }));
  return { epoch, split, numSamples, cells };
}

/** How many samples a cell may list: as many as leave the list of all cells short enough, at least one. */
function listedOf(cells: readonly OpenCell[]): number {
  const numListed = (most: number) => cells.reduce((sum, { numSamples }) => sum + Math.min(most, numSamples), 0);
  let most = MOST_OF_CELL;
  while (most > 1 && numListed(most) > MOST_OF_ALL) most--;
  return most;
}

/** Samples come in the order of the split: of equal losses the first one stays ahead. */
function keepWorst(worst: OpenCell['worst'], most: number, index: number, loss: number): void {
  if (worst.length === most && loss <= worst[most - 1]!.loss) return;
  let place = worst.length;
  while (place > 0 && worst[place - 1]!.loss < loss) place--;
  worst.splice(place, 0, { index, loss });
  if (worst.length > most) worst.pop();
}

/** Where one sample of each cell is too many: only the worst cells list theirs. */
function leaveWorst(cells: readonly OpenCell[]): void {
  const byLoss = cells.toSorted(({ worst: [a] }, { worst: [b] }) => b!.loss - a!.loss || a!.index - b!.index);
  for (const { worst } of byLoss.slice(MOST_OF_ALL)) worst.length = 0;
}

const toldLoss = (loss: number): number =>
  Number.isNaN(loss) ? MOST_LOSS : Math.min(MOST_LOSS, Math.max(-MOST_LOSS, loss));

/** To 4 decimals; never -0, which JSON does not keep. */
const rounded = (loss: number): number => Math.round(loss * 1e4) / 1e4 + 0;
