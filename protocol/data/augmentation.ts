/**
 * Augmentation: training images mirrored, shifted and partly erased at random. What becomes of an image is a function of
 * the run's seed, the epoch and the sample's index alone, so a step's result does not depend on who computes it.
 *
 * Sources: He et al., Deep residual learning, 2016 (mirrors and shifts); Zhong et al., Random erasing data augmentation,
 * 2020, here with rectangles of any shape, filled with the background.
 */
import { z } from 'zod';
import { IMAGE_BYTES, IMAGE_SHAPE } from './dataset.ts';
import { seededWords } from './random.ts';

const [, HEIGHT, WIDTH] = IMAGE_SHAPE;

const probability = z.number().min(0).max(1);

export const augmentationSchema = z.strictObject({
  /** How likely an image is mirrored, left for right. */
  flipProbability: probability,
  /** How likely it is moved, and the most pixels up or down and left or right, all alike; what comes into view is background. */
  shiftProbability: probability,
  shiftPixels: z
    .int()
    .min(1)
    .max(HEIGHT - 1),
  /** How likely a rectangle of it is erased, and that one's longest side: sides are 1 to this, all alike. */
  eraseProbability: probability,
  erasePixels: z.int().min(1).max(HEIGHT),
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

/** Returns a function that changes a microbatch's images, [indices.length, 784] bytes, in place. */
export function createAugmenter(augmentation: Augmentation): (images: Uint8Array, batch: AugmentedBatch) => void {
  const { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels } = augmentation;
  const original = new Uint8Array(IMAGE_BYTES);
  return (images, { seed, epoch, indices }) => {
    for (let i = 0; i < indices.length; i++) {
      const next = seededWords(seed, epoch, indices[i]!);
      const isFlipped = isWithin(next(), flipProbability);
      const reach = isWithin(next(), shiftProbability) ? shiftPixels : 0;
      const down = upTo(next(), 2 * reach + 1) - reach;
      const right = upTo(next(), 2 * reach + 1) - reach;
      const image = images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES);
      if (isFlipped || down !== 0 || right !== 0) {
        original.set(image);
        moveImage(image, original, { isFlipped, down, right });
      }
      if (isWithin(next(), eraseProbability)) {
        const height = 1 + upTo(next(), erasePixels);
        const width = 1 + upTo(next(), erasePixels);
        const top = upTo(next(), HEIGHT - height + 1);
        const left = upTo(next(), WIDTH - width + 1);
        for (let row = top; row < top + height; row++) {
          image.fill(0, row * WIDTH + left, row * WIDTH + left + width);
        }
      }
    }
  };
}

interface Move {
  readonly isFlipped: boolean;
  /** Pixels, negative for up and left; applied after the mirror. */
  readonly down: number;
  readonly right: number;
}

/** moved[y][x] <- original[y - down][x - right], mirrored; 0 where that lies outside. */
function moveImage(moved: Uint8Array, original: Uint8Array, { isFlipped, down, right }: Move): void {
  const step = isFlipped ? -1 : 1;
  const firstColumn = Math.max(0, right);
  const endColumn = Math.min(WIDTH, WIDTH + right);
  moved.fill(0);
  for (let row = Math.max(0, down); row < Math.min(HEIGHT, HEIGHT + down); row++) {
    const column = firstColumn - right;
    let from = (row - down) * WIDTH + (isFlipped ? WIDTH - 1 - column : column);
    for (let at = row * WIDTH + firstColumn; at < row * WIDTH + endColumn; at++) {
      moved[at] = original[from]!;
      from += step;
    }
  }
}

/** Whether a word of 32 random bits falls within a probability. */
const isWithin = (word: number, probabilityOfYes: number): boolean => word < probabilityOfYes * 2 ** 32;

/** A whole number from 0 to below `end`, by a word of 32 random bits. */
const upTo = (word: number, end: number): number => Math.floor((word / 2 ** 32) * end);
