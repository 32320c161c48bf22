/** Data in the forms that people have it, written for tests: small, seeded, the same samples whatever the form. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { encode as encodePng } from 'fast-png';
import { zipSync } from 'fflate';
import { imageBytesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, SampleSet } from '../../protocol/data/dataset.ts';
import { bytesOfLabels, createLabels } from '../../protocol/data/labels.ts';
import type { Labels } from '../../protocol/data/labels.ts';
import { uniformFloats } from '../../protocol/data/random.ts';

export interface MadeData {
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  readonly train: SampleSet;
  readonly test: SampleSet;
}

/** Samples whose class is told by which band of rows is bright; every class comes equally often, in turn. */
export function makeData(
  shape: ImageShape,
  numClasses: number,
  [numTrain, numTest]: readonly [number, number],
): MadeData {
  return {
    shape,
    classes: Array.from({ length: numClasses }, (_, label) => `class-${nameOf(label, numClasses)}`),
    train: makeSamples(shape, numClasses, numTrain, 1),
    test: makeSamples(shape, numClasses, numTest, 2),
  };
}

/** Letters, or numbers where there are more classes: either way their order is that of the alphabet. */
function nameOf(label: number, numClasses: number): string {
  return numClasses <= 26 ? String.fromCharCode(97 + label) : String(label).padStart(5, '0');
}

function makeSamples(shape: ImageShape, numClasses: number, numSamples: number, seed: number): SampleSet {
  const [channels, height, width] = shape;
  const random = uniformFloats(seed);
  const imageBytes = imageBytesOf(shape);
  const images = new Uint8Array(numSamples * imageBytes);
  const labels = createLabels(numSamples, numClasses).map((_, sample) => sample % numClasses);
  for (let n = 0; n < numSamples; n++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let row = 0; row < height; row++) {
        const isBright = Math.floor((row * numClasses) / height) === labels[n];
        for (let column = 0; column < width; column++) {
          images[n * imageBytes + (channel * height + row) * width + column] =
            Math.floor(random() * 90) + (isBright ? 120 + 20 * channel : 0);
        }
      }
    }
  }
  return { images, labels, numSamples };
}

/** An IDX file: `type` 8 is bytes. */
export function idxFile(dimensions: readonly number[], elements: Uint8Array, type = 8): Buffer {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header[2] = type;
  header[3] = dimensions.length;
  dimensions.forEach((size, index) => header.writeUInt32BE(size, 4 + 4 * index));
  return Buffer.concat([header, elements]);
}

/** An IDX file of labels: bytes, or numbers of 16 bits, which have their larger byte first. */
function idxLabels(labels: Labels): Buffer {
  if (labels instanceof Uint8Array) return idxFile([labels.length], labels);
  return idxFile([labels.length], new Uint8Array(Buffer.from(bytesOfLabels(labels.slice())).swap16()), 0x0b);
}

/** Four IDX files, images [N, H, W] or of several channels [N, C, H, W], and the classes' names. */
export function writeIdxFolder(
  folder: string,
  { shape, classes, train, test }: MadeData,
  isCompressed = false,
): string {
  mkdirSync(folder, { recursive: true });
  const [channels, height, width] = shape;
  const write = (name: string, bytes: Buffer) =>
    writeFileSync(join(folder, isCompressed ? `${name}.gz` : name), isCompressed ? gzipSync(bytes) : bytes);
  for (const [prefix, set] of [['train', train] as const, ['t10k', test] as const]) {
    const dimensions = channels === 1 ? [set.numSamples, height, width] : [set.numSamples, channels, height, width];
    write(`${prefix}-images-idx${dimensions.length}-ubyte`, idxFile(dimensions, set.images));
    write(`${prefix}-labels-idx1-ubyte`, idxLabels(set.labels));
  }
  writeFileSync(join(folder, 'classes.txt'), classes.map((name) => `${name}\n`).join(''));
  return folder;
}

/** An array as numpy saves it. */
export function npyFile(descr: string, shape: readonly number[], elements: Uint8Array, order = 'False'): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dict = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${tuple}, }`;
  const padded = dict.padEnd(Math.ceil((10 + dict.length + 1) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(padded.length, 8);
  return new Uint8Array(Buffer.concat([head, Buffer.from(padded, 'latin1'), elements]));
}

/** [N, C, H, W] -> [N, H, W, C], as numpy's users have images. */
export function channelsLast(images: Uint8Array, shape: ImageShape): Uint8Array {
  const [channels, height, width] = shape;
  const planeBytes = height * width;
  return Uint8Array.from(images, (_, at) => {
    const image = Math.floor(at / (channels * planeBytes));
    const within = at % (channels * planeBytes);
    const [pixel, channel] = [Math.floor(within / channels), within % channels];
    return images[(image * channels + channel) * planeBytes + pixel]!;
  });
}

export type NpzStyle = 'keras' | 'medmnist';

/** A .npz as Keras has it, labels [N] of 64 bits, or MedMNIST, labels [N, 1] as narrow as they can be. */
export function writeNpz(path: string, data: MadeData, style: NpzStyle): string {
  writeFileSync(path, zipSync(npzArrays(data, style)));
  return path;
}

export function npzArrays({ shape, train, test }: MadeData, style: NpzStyle): Record<string, Uint8Array> {
  const [channels, height, width] = shape;
  const imagesOf = (set: SampleSet) =>
    channels === 1
      ? npyFile('|u1', [set.numSamples, height, width], set.images)
      : npyFile('|u1', [set.numSamples, height, width, channels], channelsLast(set.images, shape));
  const asColumn = ({ labels, numSamples }: SampleSet) =>
    npyFile(labels instanceof Uint8Array ? '|u1' : '<u2', [numSamples, 1], bytesOfLabels(labels));
  const asLong = ({ labels }: SampleSet) => new Uint8Array(BigInt64Array.from(labels, (label) => BigInt(label)).buffer);
  return style === 'keras'
    ? {
        'x_train.npy': imagesOf(train),
        'y_train.npy': npyFile('<i8', [train.numSamples], asLong(train)),
        'x_test.npy': imagesOf(test),
        'y_test.npy': npyFile('<i8', [test.numSamples], asLong(test)),
      }
    : {
        'train_images.npy': imagesOf(train),
        'train_labels.npy': asColumn(train),
        'test_images.npy': imagesOf(test),
        'test_labels.npy': asColumn(test),
      };
}

/** CIFAR-10's binary files, training samples in two batches. `data` must have its shape. */
export function writeCifar10(folder: string, { classes, train, test }: MadeData): string {
  mkdirSync(folder, { recursive: true });
  const records = ({ images, labels }: SampleSet, first: number, end: number) =>
    Buffer.concat(
      Array.from({ length: end - first }, (_, i) => [
        Buffer.of(labels[first + i]!),
        images.subarray((first + i) * 3072, (first + i + 1) * 3072),
      ]).flat(),
    );
  const half = Math.floor(train.numSamples / 2);
  writeFileSync(join(folder, 'data_batch_1.bin'), records(train, 0, half));
  writeFileSync(join(folder, 'data_batch_2.bin'), records(train, half, train.numSamples));
  writeFileSync(join(folder, 'test_batch.bin'), records(test, 0, test.numSamples));
  writeFileSync(join(folder, 'batches.meta.txt'), classes.map((name) => `${name}\n`).join(''));
  return folder;
}

/** The bytes of a PNG file with an image of these planes. */
export function pngOf(planes: Uint8Array, [channels, height, width]: ImageShape): Uint8Array {
  const data = channelsLast(planes, [channels, height, width]);
  return encodePng({ width, height, data, depth: 8, channels: channels });
}

/** `train/CLASS/00001.png`: numbered so that the samples of a class keep their order. */
export function writeImageFolder(folder: string, { shape, classes, train, test }: MadeData): string {
  const imageBytes = imageBytesOf(shape);
  for (const [split, set] of [['train', train] as const, ['test', test] as const]) {
    for (const name of classes) mkdirSync(join(folder, split, name), { recursive: true });
    for (let n = 0; n < set.numSamples; n++) {
      const file = join(folder, split, classes[set.labels[n]!]!, `${String(n).padStart(5, '0')}.png`);
      writeFileSync(file, pngOf(set.images.subarray(n * imageBytes, (n + 1) * imageBytes), shape));
    }
  }
  return folder;
}

/** The samples in the order in which a folder of images has them: class by class. */
export function sortedByClass({ shape, classes, train, test }: MadeData): MadeData {
  const imageBytes = imageBytesOf(shape);
  const sorted = ({ images, labels, numSamples }: SampleSet): SampleSet => {
    const order = Array.from({ length: numSamples }, (_, n) => n).sort((a, b) => labels[a]! - labels[b]! || a - b);
    const rows = order.map((n) => images.subarray(n * imageBytes, (n + 1) * imageBytes));
    return {
      images: new Uint8Array(Buffer.concat(rows)),
      labels: labels.map((_, row) => labels[order[row]!]!),
      numSamples,
    };
  };
  return { shape, classes, train: sorted(train), test: sorted(test) };
}
