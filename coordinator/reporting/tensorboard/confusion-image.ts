/**
 * The confusion matrix as an image for TensorBoard, in plain pixels: a square for each pair of classes, labels from top to
 * bottom, predictions from left to right, the darker the larger its part of the label's samples.
 */
import { encodePng } from '../../png.ts';
import type { Confusion } from '../confusion.ts';

export interface ConfusionImage {
  /** A PNG file of `side` x `side` pixels, with red, green and blue. */
  readonly png: Uint8Array;
  readonly side: number;
}

type Colour = readonly [red: number, green: number, blue: number];

const EMPTY: Colour = [242, 242, 242];
/** White, in each channel. */
const GRID = 255;
/** Whole rows: of right predictions, and of wrong ones. They can be told apart by those who do not see all colours. */
const RIGHT: Colour = [0, 114, 178];
const WRONG: Colour = [213, 94, 0];

/** Sides in pixels: of the image, about; of a square. Squares that are too small have no grid between them. */
const SIDE = 256;
const LARGEST_SQUARE = 24;
const SMALLEST_SQUARE = 2;
const SMALLEST_WITH_GRID = 8;

/** `numClasses`: at most 256, for 512 pixels. */
export function drawConfusionImage({ cells }: Confusion, numClasses: number): ConfusionImage {
  const square = Math.max(SMALLEST_SQUARE, Math.min(LARGEST_SQUARE, Math.floor(SIDE / numClasses)));
  const grid = square >= SMALLEST_WITH_GRID ? 1 : 0;
  const side = square * numClasses;
  const pixels = new Uint8Array(3 * side * side).fill(GRID);
  const fill = (row: number, column: number, [red, green, blue]: Colour) => {
    for (let y = row * square; y < (row + 1) * square - grid; y++) {
      let at = 3 * (y * side + column * square);
      for (let x = 0; x < square - grid; x++) {
        pixels[at++] = red;
        pixels[at++] = green;
        pixels[at++] = blue;
      }
    }
  };
  const shares = sharesOf(cells, numClasses);
  for (let label = 0; label < numClasses; label++) {
    for (let predicted = 0; predicted < numClasses; predicted++) {
      const share = shares[label * numClasses + predicted]!;
      fill(label, predicted, mix(label === predicted ? RIGHT : WRONG, share));
    }
  }
  return { png: encodePng({ width: side, height: side, channels: 3, data: pixels }), side };
}

/** [label, predicted]: parts of the label's samples. */
function sharesOf(cells: Confusion['cells'], numClasses: number): Float64Array {
  const totals = new Float64Array(numClasses);
  for (const { label, numSamples } of cells) totals[label]! += numSamples;
  const shares = new Float64Array(numClasses * numClasses);
  for (const { label, predicted, numSamples } of cells) {
    shares[label * numClasses + predicted] = numSamples / totals[label]!;
  }
  return shares;
}

/** The root lets a hundredth of a row be seen: a tenth of the way from the empty square to the whole row. */
function mix(whole: Colour, share: number): Colour {
  const part = Math.sqrt(share);
  const channel = (i: 0 | 1 | 2) => Math.round(EMPTY[i] + part * (whole[i] - EMPTY[i]));
  return [channel(0), channel(1), channel(2)];
}
