import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { augmentationSchema, createAugmenter, isIdentity } from '../../../protocol/data/augmentation.ts';
import type { Augmentation } from '../../../protocol/data/augmentation.ts';
import { FASHION_MNIST_SHAPE } from '../../../protocol/data/fashion-mnist.ts';
import { IMAGE_BYTES } from '../../helpers/fashion-mnist.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import { seededWords } from '../../../protocol/data/random.ts';
import { syntheticSamples } from '../../helpers/samples.ts';

const SIDE = 28;
const NOTHING: Augmentation = {
  flipProbability: 0,
  shiftProbability: 0,
  shiftPixels: 3,
  eraseProbability: 0,
  erasePixels: 8,
};
const ALL: Augmentation = { ...NOTHING, flipProbability: 0.5, shiftProbability: 0.6, eraseProbability: 0.4 };

/** No two pixels alike as far as bytes go, and none of the background: what was moved where shows. */
const patterned = (seed: number): Uint8Array =>
  Uint8Array.from({ length: IMAGE_BYTES }, (_, i) => 1 + ((31 * (i % SIDE) + 7 * Math.floor(i / SIDE) + seed) % 255));

/** What becomes of one image. */
function augmented(augmentation: Augmentation, image: Uint8Array, place: { seed: number; epoch: number; at: number }) {
  const changed = image.slice();
  createAugmenter(augmentation, FASHION_MNIST_SHAPE)(changed, {
    seed: place.seed,
    epoch: place.epoch,
    indices: Uint32Array.of(place.at),
  });
  return changed;
}

/** The definition: in order mirror, shift, rectangle, each word of the stream a number of [0, 1). */
function plainly(augmentation: Augmentation, image: Uint8Array, seed: number, epoch: number, at: number): number[] {
  const words = seededWords(seed, epoch, at);
  const random = () => words() / 2 ** 32;
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least + 1));
  let pixels = Array.from({ length: SIDE }, (_, y) => [...image.subarray(y * SIDE, (y + 1) * SIDE)]);
  if (random() < augmentation.flipProbability) pixels = pixels.map((row) => row.toReversed());
  const reach = random() < augmentation.shiftProbability ? augmentation.shiftPixels : 0;
  const down = between(-reach, reach);
  const right = between(-reach, reach);
  pixels = pixels.map((row, y) => row.map((_, x) => pixels[y - down]?.[x - right] ?? 0));
  if (random() < augmentation.eraseProbability) {
    const [height, width] = [between(1, augmentation.erasePixels), between(1, augmentation.erasePixels)];
    const [top, left] = [between(0, SIDE - height), between(0, SIDE - width)];
    const isInside = (x: number, y: number) => y >= top && y < top + height && x >= left && x < left + width;
    pixels = pixels.map((row, y) => row.map((value, x) => (isInside(x, y) ? 0 : value)));
  }
  return pixels.flat();
}

const probability = fc.constantFrom(0, 0.1, 0.5, 0.9, 1);
const augmentations: fc.Arbitrary<Augmentation> = fc.record({
  flipProbability: probability,
  shiftProbability: probability,
  shiftPixels: fc.integer({ min: 1, max: 27 }),
  eraseProbability: probability,
  erasePixels: fc.integer({ min: 1, max: 28 }),
});
const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe('augmentation', () => {
  test('mirrors, shifts and erases as its plain definition does', () => {
    fc.assert(
      fc.property(augmentations, int, fc.nat(1000), fc.nat(59_999), (augmentation, seed, epoch, at) => {
        const image = patterned(at);
        const changed = augmented(augmentation, image, { seed, epoch, at });
        expect([...changed]).toEqual(plainly(augmentation, image, seed, epoch, at));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test('of an image depends on seed, epoch and sample alone, not on its microbatch', () => {
    const indices = fc.uniqueArray(fc.nat(59_999), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(indices, int, fc.integer({ min: 1, max: 500 }), (all, seed, epoch) => {
        const augment = createAugmenter(ALL, FASHION_MNIST_SHAPE);
        const images = Uint8Array.from(all.flatMap((at) => [...patterned(at)]));
        augment(images, { seed, epoch, indices: Uint32Array.from(all) });
        for (const [i, at] of all.entries()) {
          const alone = augmented(ALL, patterned(at), { seed, epoch, at });
          expect(images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES)).toEqual(alone);
        }
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  test('touches no row beyond those of the indices', () => {
    const rows = Uint8Array.from([...patterned(1), ...patterned(2)]);
    createAugmenter({ ...ALL, eraseProbability: 1 }, FASHION_MNIST_SHAPE)(rows, {
      seed: 1,
      epoch: 1,
      indices: Uint32Array.of(5),
    });
    expect(rows.subarray(0, IMAGE_BYTES)).not.toEqual(patterned(1));
    expect(rows.subarray(IMAGE_BYTES)).toEqual(patterned(2));
  });

  test('differs between epochs, seeds and samples', () => {
    const outcomes = (vary: (n: number) => { seed: number; epoch: number; at: number }) =>
      new Set(Array.from({ length: 50 }, (_, n) => augmented(ALL, patterned(0), vary(n)).join())).size;
    // Of fifty independent ones some are alike: those that are neither shifted nor erased.
    expect(outcomes((n) => ({ seed: 1, epoch: 1 + n, at: 7 }))).toBeGreaterThan(30);
    expect(outcomes((n) => ({ seed: n, epoch: 1, at: 7 }))).toBeGreaterThan(30);
    expect(outcomes((n) => ({ seed: 1, epoch: 1, at: n }))).toBeGreaterThan(30);
  });

  test('of probability 0 leaves every byte, of probability 1 none of the images as it was', () => {
    const ones = { ...NOTHING, flipProbability: 1, shiftProbability: 1, eraseProbability: 1 };
    for (let at = 0; at < 500; at++) {
      const place = { seed: 3, epoch: 2, at };
      expect(augmented(NOTHING, patterned(at), place)).toEqual(patterned(at));
      expect(augmented(ones, patterned(at), place)).not.toEqual(patterned(at));
    }
    expect(isIdentity(NOTHING)).toBe(true);
    for (const one of ['flipProbability', 'shiftProbability', 'eraseProbability'] as const) {
      expect(isIdentity({ ...NOTHING, [one]: 0.01 })).toBe(false);
    }
  });

  test('golden bits: what an image becomes never changes by accident', () => {
    const { images } = syntheticSamples(planModel(MODELS.dense), 64, 1);
    const indices = Uint32Array.from({ length: 64 }, (_, i) => 937 * i);
    createAugmenter(ALL, FASHION_MNIST_SHAPE)(images, { seed: 7, epoch: 3, indices });
    expect(createHash('sha256').update(images).digest('hex')).toBe(
      '17d059efbfafaa1d8c0a0901769f8c6c5fcf3a761f155508df7ee6034aeebd3f',
    );
  });
});

/** Where the only bright pixel of an image, given in rows and columns, has come to; undefined where it is gone. */
function pixelAfter(augmentation: Augmentation, at: number): [number, number] | undefined {
  const image = new Uint8Array(IMAGE_BYTES);
  image[14 * SIDE + 10] = 255;
  const found = augmented(augmentation, image, { seed: 11, epoch: 1, at }).indexOf(255);
  return found < 0 ? undefined : [Math.floor(found / SIDE), found % SIDE];
}

describe('over 10,000 samples', () => {
  const samples = Array.from({ length: 10_000 }, (_, at) => at);
  /** Of 10,000 independent samples, a share deviates by 0.005 at p = 0.5; four times as much is never seen. */
  const SHARE_ERROR = 0.02;

  test('as many are mirrored as the probability says', () => {
    const flipped = samples.filter((at) => pixelAfter({ ...NOTHING, flipProbability: 0.3 }, at)![1] === 27 - 10);
    expect(Math.abs(flipped.length / 10_000 - 0.3)).toBeLessThan(SHARE_ERROR);
  });

  test('shifts lie within their bounds, all alike, as often as the probability says', () => {
    const counts = new Map<string, number>();
    for (const at of samples) {
      const [row, column] = pixelAfter({ ...NOTHING, shiftProbability: 0.5, shiftPixels: 2 }, at)!;
      const shift = `${row - 14},${column - 10}`;
      counts.set(shift, (counts.get(shift) ?? 0) + 1);
    }
    const bounds = [-2, -1, 0, 1, 2];
    const all = bounds.flatMap((down) => bounds.map((right) => `${down},${right}`));
    expect([...counts.keys()].sort()).toEqual(all.sort());
    // One in 25 of those that are shifted is shifted by nothing.
    expect(Math.abs(counts.get('0,0')! / 10_000 - (0.5 + 0.5 / 25))).toBeLessThan(SHARE_ERROR);
    for (const shift of all.filter((name) => name !== '0,0')) {
      expect(Math.abs(counts.get(shift)! / 10_000 - 0.5 / 25)).toBeLessThan(0.006);
    }
  });

  test('rectangles lie within image and bounds, as often as the probability says, sides of every length alike', () => {
    const [heights, widths] = [new Map<number, number>(), new Map<number, number>()];
    const edges = new Set<string>();
    for (const at of samples) {
      const white = new Uint8Array(IMAGE_BYTES).fill(255);
      const changed = augmented({ ...NOTHING, eraseProbability: 0.5, erasePixels: 5 }, white, {
        seed: 2,
        epoch: 1,
        at,
      });
      const erased = [...changed.keys()].filter((i) => changed[i] === 0);
      if (erased.length === 0) continue;
      const [rows, columns] = [erased.map((i) => Math.floor(i / SIDE)), erased.map((i) => i % SIDE)];
      const [top, left] = [Math.min(...rows), Math.min(...columns)];
      const [height, width] = [Math.max(...rows) - top + 1, Math.max(...columns) - left + 1];
      expect(erased.length).toBe(height * width);
      heights.set(height, (heights.get(height) ?? 0) + 1);
      widths.set(width, (widths.get(width) ?? 0) + 1);
      if (top === 0) edges.add('top');
      if (left === 0) edges.add('left');
      if (top + height === SIDE) edges.add('bottom');
      if (left + width === SIDE) edges.add('right');
    }
    for (const counts of [heights, widths]) {
      expect([...counts.keys()].sort()).toEqual([1, 2, 3, 4, 5]);
      const total = [...counts.values()].reduce((sum, count) => sum + count);
      expect(Math.abs(total / 10_000 - 0.5)).toBeLessThan(SHARE_ERROR);
      for (const count of counts.values()) expect(Math.abs(count / total - 1 / 5)).toBeLessThan(SHARE_ERROR);
    }
    expect(edges.size).toBe(4);
  });
});

test('all channels of an image that is not square are changed alike', () => {
  const [height, width] = [5, 9];
  const plane = Uint8Array.from({ length: height * width }, (_, at) => 1 + at);
  const changed = (channels: number, numImages: number) => {
    const image = new Uint8Array(Buffer.concat(Array.from({ length: channels }, () => plane)));
    const images = new Uint8Array(Buffer.concat(Array.from({ length: numImages }, () => image)));
    const some = { flipProbability: 0.5, shiftProbability: 1, shiftPixels: 3, eraseProbability: 1, erasePixels: 4 };
    const indices = Uint32Array.from({ length: numImages }, (_, index) => index);
    createAugmenter(some, [channels, height, width])(images, { seed: 3, epoch: 2, indices });
    return images;
  };
  const [grey, colour] = [changed(1, 20), changed(3, 20)];
  for (let n = 0; n < 20; n++) {
    const expected = grey.subarray(n * plane.length, (n + 1) * plane.length);
    expect(expected).not.toEqual(plane);
    for (let channel = 0; channel < 3; channel++) {
      const at = (3 * n + channel) * plane.length;
      expect(colour.subarray(at, at + plane.length)).toEqual(expected);
    }
  }
});

test.each<Partial<Augmentation>>([
  { flipProbability: -0.1 },
  { shiftProbability: 1.1 },
  { eraseProbability: NaN },
  { shiftPixels: 0 },
  { shiftPixels: 65_536 },
  { shiftPixels: 1.5 },
  { erasePixels: 0 },
  { erasePixels: 65_536 },
])('%j is refused', (change) => {
  expect(augmentationSchema.safeParse(ALL).success).toBe(true);
  expect(augmentationSchema.safeParse({ ...ALL, ...change }).success).toBe(false);
});
