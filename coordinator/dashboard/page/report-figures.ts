/** What a report shows before anything is chosen in it, and what it has room for. */
import type { Confusion } from '../../reporting/confusion.ts';
import { mostConfused } from './confusion-facts.ts';
import type { CellPlace } from './confusion-facts.ts';

/** The pair of classes that are confused most: its images are shown first. */
export function firstCell(confusion: Confusion | null): CellPlace | undefined {
  const [pair] = confusion ? mostConfused(confusion, 1) : [];
  return pair && { label: pair.label, predicted: pair.predicted };
}

/** Images of a cell, and characters of all images together, in a report. */
const MOST_OF_CELL = 8;
const MOST_CHARACTERS = 600_000;

/** Cells have the samples that the report has images of. */
export interface ConfusionWithImages {
  readonly confusion: Confusion;
  readonly images: readonly (readonly [index: number, url: string | null])[];
}

/**
 * The matrix with the worst samples of each cell and their images: of all cells the worst one first, then the second, until
 * there is no more room. `imageOf`: a data URL by the index of a sample; null where there is none. Default: the data is not
 * at hand.
 */
export function withImages(
  confusion: Confusion,
  imageOf: (index: number) => string | null = () => null,
): ConfusionWithImages {
  const images = new Map<number, string | null>();
  let room = MOST_CHARACTERS;
  for (let rank = 0; rank < MOST_OF_CELL; rank++) {
    for (const { worst } of confusion.cells) {
      const index = worst[rank];
      if (index === undefined || room <= 0) continue;
      const url = imageOf(index);
      if (url !== null && url.length > room) continue;
      images.set(index, url);
      room -= url?.length ?? 0;
    }
  }
  const cells = confusion.cells.map((cell) => {
    const kept = cell.worst.flatMap((index, i) => (images.has(index) ? [i] : []));
    return { ...cell, worst: kept.map((i) => cell.worst[i]!), losses: kept.map((i) => cell.losses[i]!) };
  });
  return { confusion: { ...confusion, cells }, images: [...images] };
}
