/**
 * Augmentation: training images mirrored, shifted and partly erased at random. What becomes of an image is a function of
 * the run's seed, the epoch and the sample's index alone, so a step's result does not depend on who computes it.
 *
 * Sources: He et al., Deep residual learning, 2016 (mirrors and shifts); Zhong et al., Random erasing data augmentation,
 * 2020, here with rectangles of any shape, filled with the background.
 */
import { z } from 'zod';
import { imageBytesOf } from './dataset.ts';
import type { ImageShape } from './dataset.ts';
import { seededWords } from './random.ts';

/** No image has longer sides. */
export const MAX_SIDE = 65_535;

const probability = z.number().min(0).max(1);

export const augmentationSchema = z.strictObject({
  /** How likely an image is mirrored, left for right. */
  flipProbability: probability,
  /** How likely it is moved, and the most pixels up or down and left or right, each number as likely; what comes into view is background. */
  shiftProbability: probability,
  shiftPixels: z.int().min(1).max(MAX_SIDE),
  /** How likely a rectangle of it is erased, and that one's longest side: sides are 1 to this, all alike. */
  eraseProbability: probability,
  erasePixels: z.int().min(1).max(MAX_SIDE),
});

export type Augmentation = Readonly<z.infer<typeof augmentationSchema>>;

/** Whether it leaves all images as they are. */
export function isIdentity({ flipProbability, shiftProbability, eraseProbability }: Augmentation): boolean {
  return flipProbability === 0 && shiftProbability === 0 && eraseProbability === 0;
}

/** Where the samples of a microbatch stand: `indices` in the training set, one a row of the images. */
export interface AugmentedBatch {
  readonly seed: number;
  readonly epoch: number;
  readonly indices: Uint32Array;
}

/**
 * Returns a function that changes a microbatch's images, [indices.length, channels, height, width] bytes, in place. All
 * channels of an image are changed alike. A shift that would leave nothing of an image, or an erased side that is longer
 * than its own, is one pixel short of that, or that side.
 */
export function createAugmenter(
  augmentation: Augmentation,
  shape: ImageShape,
): (images: Uint8Array, batch: AugmentedBatch) => void {
  const { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels } = augmentation;
  const [channels, height, width] = shape;
  const imageBytes = imageBytesOf(shape);
  const planeBytes = height * width;
  const mostShifted = Math.min(shiftPixels, height - 1, width - 1);
  const [mostRows, mostColumns] = [Math.min(erasePixels, height), Math.min(erasePixels, width)];
  const original = new Uint8Array(imageBytes);
  return (images, { seed, epoch, indices }) => {
    for (let i = 0; i < indices.length; i++) {
      const next = seededWords(seed, epoch, indices[i]!);
      const isFlipped = isWithin(next(), flipProbability);
      const reach = isWithin(next(), shiftProbability) ? mostShifted : 0;
      const down = upTo(next(), 2 * reach + 1) - reach;
      const right = upTo(next(), 2 * reach + 1) - reach;
      const image = images.subarray(i * imageBytes, (i + 1) * imageBytes);
      if (isFlipped || down !== 0 || right !== 0) {
        original.set(image);
        for (let plane = 0; plane < imageBytes; plane += planeBytes) {
          const [moved, from] = [image, original].map((all) => all.subarray(plane, plane + planeBytes));
          movePlane(moved!, from!, { height, width, isFlipped, down, right });
        }
      }
      if (isWithin(next(), eraseProbability)) {
        const numRows = 1 + upTo(next(), mostRows);
        const numColumns = 1 + upTo(next(), mostColumns);
        const top = upTo(next(), height - numRows + 1);
        const left = upTo(next(), width - numColumns + 1);
        for (let channel = 0; channel < channels; channel++) {
          for (let row = top; row < top + numRows; row++) {
            const at = (channel * height + row) * width + left;
            image.fill(0, at, at + numColumns);
          }
        }
      }
    }
  };
}

interface Move {
  readonly height: number;
  readonly width: number;
  readonly isFlipped: boolean;
  /** Pixels, negative for up and left; applied after the mirror. */
  readonly down: number;
  readonly right: number;
}

/** moved[y][x] <- original[y - down][x - right], mirrored; 0 where that lies outside. [height, width] each. */
function movePlane(moved: Uint8Array, original: Uint8Array, { height, width, isFlipped, down, right }: Move): void {
  const step = isFlipped ? -1 : 1;
  const firstColumn = Math.max(0, right);
  const endColumn = Math.min(width, width + right);
  moved.fill(0);
  for (let row = Math.max(0, down); row < Math.min(height, height + down); row++) {
    const column = firstColumn - right;
    let from = (row - down) * width + (isFlipped ? width - 1 - column : column);
    for (let at = row * width + firstColumn; at < row * width + endColumn; at++) {
      moved[at] = original[from]!;
      from += step;
    }
  }
}

/** Whether a word of 32 random bits falls within a probability. */
const isWithin = (word: number, probabilityOfYes: number): boolean => word < probabilityOfYes * 2 ** 32;

/** A whole number from 0 to below `end`, by a word of 32 random bits. */
const upTo = (word: number, end: number): number => Math.floor((word / 2 ** 32) * end);
