/** Samples in memory that are easy to learn: a bright bar, lying or standing, somewhere on a dark image. */
import type { ImageShape } from '../../../protocol/data/dataset.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';

const CLASSES = ['lying', 'standing'];

export function barsData(shape: ImageShape = [1, 6, 6], numTrain = 192, numTest = 64) {
  const random = uniformFloats(5);
  return { shape, classes: CLASSES, train: bars(numTrain, shape, random), test: bars(numTest, shape, random) };
}

function bars(count: number, [, height, width]: ImageShape, random: () => number) {
  const images = new Uint8Array(count * height * width).map(() => random() * 60);
  const labels = new Uint8Array(count).map((_, i) => i % 2);
  labels.forEach((label, i) => {
    const at = i * height * width;
    const place = Math.floor(random() * (label === 0 ? height : width));
    for (let step = 0; step < (label === 0 ? width : height); step++) {
      images[at + (label === 0 ? place * width + step : step * width + place)] = 200 + random() * 55;
    }
  });
  return { images, labels };
}
