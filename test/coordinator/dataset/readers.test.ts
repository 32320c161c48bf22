/** The forms that people have data in: each is read to the same samples, whatever it is. */
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode as decodePng, encode as encodePng } from 'fast-png';
import { encode as encodeJpeg } from 'jpeg-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { findDataset } from '../../../coordinator/dataset/find-dataset.ts';
import type { FindOptions } from '../../../coordinator/dataset/find-dataset.ts';
import { toCanonical } from '../../../protocol/data/canonical.ts';
import type { CanonicalDataset } from '../../../protocol/data/canonical.ts';
import { imagesOf } from '../../../protocol/data/dataset.ts';
import type { SampleSet } from '../../../protocol/data/dataset.ts';
import { bytesOfLabels } from '../../../protocol/data/labels.ts';
import {
  idxFile,
  makeData,
  npyFile,
  pngOf,
  sortedByClass,
  writeCifar10,
  writeIdxFolder,
  writeImageFolder,
  writeNpz,
} from '../../helpers/data-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { zipSync } from 'fflate';

beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const open = async (data: string, options: Partial<FindOptions> = {}): Promise<CanonicalDataset> =>
  (await findDataset({ data, log: () => {}, ...options })).open();

function expectSamples(found: CanonicalDataset, expected: { train: SampleSet; test: SampleSet }) {
  for (const split of ['train', 'test'] as const) {
    const [set, should] = [found.splits[split], expected[split]];
    expect(set.labels).toEqual(should.labels);
    expect(Buffer.compare(imagesOf(set, 0, set.numSamples), should.images)).toBe(0);
  }
}

const grey = makeData([1, 12, 10], 3, [30, 12]);
const colour = makeData([3, 32, 32], 4, [20, 8]);

describe('is read to the same samples', () => {
  test.each([
    ['IDX files', false],
    ['compressed IDX files', true],
  ])('%s, with the names of classes.txt', async (_what, isCompressed) => {
    const folder = writeIdxFolder(temporaryFolder(), grey, isCompressed);
    const source = await findDataset({ data: folder, log: () => {} });
    const found = await source.open();
    expect(source).toMatchObject({ shape: [1, 12, 10], classes: grey.classes, numTrainSamples: 30, source: folder });
    expectSamples(found, grey);
    expect(found.sha256).toBe((await toCanonical(grey)).sha256);
  });

  test('IDX files of several channels', async () => {
    expectSamples(await open(writeIdxFolder(temporaryFolder(), colour)), colour);
  });

  test.each(['keras', 'medmnist'] as const)('a .npz as of %s, grey and in colour', async (style) => {
    for (const data of [grey, colour]) {
      const found = await open(writeNpz(join(temporaryFolder(), 'data.npz'), data, style));
      expect(found.shape).toEqual(data.shape);
      expect(found.classes).toEqual(data.classes.map((_, label) => String(label)));
      expectSamples(found, data);
    }
  });

  test.each([
    ['|i1', 1],
    ['<u2', 2],
    ['>i2', 2],
    ['<i4', 4],
    ['>u4', 4],
    ['>i8', 8],
    ['<u8', 8],
  ])('a .npz whose labels are %s', async (descr, size) => {
    const numbers = ({ labels }: SampleSet) => {
      const bytes = new Uint8Array(labels.length * size);
      labels.forEach((label, index) => (bytes[index * size + (descr.startsWith('>') ? size - 1 : 0)] = label));
      return npyFile(descr, [labels.length], bytes);
    };
    const path = join(temporaryFolder(), 'data.npz');
    const images = ({ images: pixels, numSamples }: SampleSet) => npyFile('|u1', [numSamples, 12, 10], pixels);
    const { train, test: held } = grey;
    const validation = { x_val: images(held), y_val: numbers(held) };
    const arrays = { x_train: images(train), y_train: numbers(train), x_test: images(held), y_test: numbers(held) };
    writeFileSync(path, zipSync({ ...arrays, ...validation, 'notes.txt': Buffer.from('passed over') }));
    const found = await open(path);
    expectSamples(found, grey);
    expect(found.splits.validation!.labels).toEqual(held.labels);
  });

  test("CIFAR-10's binary files", async () => {
    const found = await open(writeCifar10(temporaryFolder(), colour));
    expectSamples(found, colour);
    expect(found.classes).toEqual(colour.classes);
  });

  test.each([
    ['grey', grey],
    ['coloured', colour],
  ])('a folder of %s PNG files, class by class', async (_what, data) => {
    const found = await open(writeImageFolder(temporaryFolder(), data));
    expectSamples(found, sortedByClass(data));
    expect(found.sha256).toBe((await toCanonical(sortedByClass(data))).sha256);
  });
});

describe('more classes than a byte tells apart', () => {
  const many = makeData([1, 2, 3], 300, [600, 300]);
  const numbered = many.classes.map((_, label) => String(label));

  test('are read from IDX files with labels of 16 and 32 bits', async () => {
    const folder = writeIdxFolder(temporaryFolder(), many);
    const found = await open(folder);
    expectSamples(found, many);
    expect([found.classes, found.sha256]).toEqual([many.classes, (await toCanonical(many)).sha256]);
    for (const [prefix, set] of [['train', many.train] as const, ['t10k', many.test] as const]) {
      const wide = Buffer.alloc(4 * set.numSamples);
      set.labels.forEach((label, index) => wide.writeInt32BE(label, 4 * index));
      writeFileSync(join(folder, `${prefix}-labels-idx1-ubyte`), idxFile([set.numSamples], wide, 0x0c));
    }
    expect((await open(folder)).sha256).toBe(found.sha256);
  });

  test.each(['keras', 'medmnist'] as const)('are read from a .npz as of %s', async (style) => {
    const found = await open(writeNpz(join(temporaryFolder(), 'data.npz'), many, style));
    expectSamples(found, many);
    expect(found.classes).toEqual(numbered);
  });

  test('are read from a folder of images', async () => {
    const few = makeData([1, 2, 3], 257, [257, 257]);
    const found = await open(writeImageFolder(temporaryFolder(), few));
    expectSamples(found, few);
    expect(found.classes).toEqual(few.classes);
  });

  test('are divided where there are no test samples', async () => {
    const { train } = makeData([1, 1, 1], 300, [6000, 0]);
    const labels = npyFile('<u2', [6000], bytesOfLabels(train.labels));
    const path = join(temporaryFolder(), 'data.npz');
    writeFileSync(path, zipSync({ x_train: npyFile('|u1', [6000, 1, 1], train.images), y_train: labels }));
    const { splits, classes } = await open(path, { testFraction: 0.1 });
    expect(classes).toEqual(numbered);
    const both = [...splits.train.labels, ...splits.test.labels].sort((a, b) => a - b);
    expect(both).toEqual([...train.labels].sort((a, b) => a - b));
    expect(Math.max(...splits.test.labels)).toBeGreaterThan(255);
  });
});

describe('a folder of images', () => {
  test('may hold PNG files of any kind: with transparency, a palette, 1 or 16 bits', async () => {
    const folder = temporaryFolder();
    const [width, height] = [4, 2];
    const put = (split: string, name: string, bytes: Uint8Array) => {
      mkdirSync(join(folder, split, 'a'), { recursive: true });
      writeFileSync(join(folder, split, 'a', name), bytes);
    };
    const wide = Uint16Array.of(0, 256, 512, 65_535, 40_000, 30_000, 20_000, 10_000);
    const withAlpha = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
    put('train', '1.png', encodePng({ width, height, data: wide, depth: 16, channels: 1 }));
    put('train', '2.png', encodePng({ width, height, data: withAlpha, depth: 8, channels: 4 }));
    put(
      'test',
      '1.png',
      encodePng({ width, height, data: Uint8Array.of(0b10100000, 0b01010000), depth: 1, channels: 1 }),
    );
    const { shape, splits } = await open(folder);
    expect(shape).toEqual([3, 2, 4]);
    const planes = [...imagesOf(splits.train, 0, 2)];
    expect(planes.slice(0, 8)).toEqual([...wide].map((value) => value >> 8));
    expect(planes.slice(8, 16)).toEqual(planes.slice(0, 8));
    expect(planes.slice(24, 32)).toEqual([0, 4, 8, 12, 16, 20, 24, 28].map((i) => withAlpha[i]));
    expect([...imagesOf(splits.test, 0, 1)].slice(0, 8)).toEqual([255, 0, 255, 0, 0, 255, 0, 255]);
  });

  test('may hold JPEG files, grey where all are', async () => {
    const folder = temporaryFolder();
    for (const split of ['train', 'test']) {
      mkdirSync(join(folder, split, 'flat'), { recursive: true });
      const data = new Uint8Array(8 * 8 * 4).fill(200);
      writeFileSync(join(folder, split, 'flat', 'a.jpeg'), encodeJpeg({ width: 8, height: 8, data }, 90).data);
    }
    const { shape, splits } = await open(folder);
    expect(shape).toEqual([1, 8, 8]);
    for (const pixel of imagesOf(splits.train, 0, 1)) expect(Math.abs(pixel - 200)).toBeLessThan(3);
  });

  test('is divided by the names of its files where it has no test samples, the same ones whatever is added', async () => {
    const folder = join(writeImageFolder(temporaryFolder(), makeData([1, 6, 6], 2, [200, 2])), 'train');
    const first = await open(folder, { testFraction: 0.25 });
    const numTest = first.splits.test.numSamples;
    expect(first.splits.train.numSamples + numTest).toBe(200);
    expect(numTest).toBeGreaterThan(25);
    expect(numTest).toBeLessThan(75);
    const rows = (dataset: CanonicalDataset) =>
      Array.from({ length: dataset.splits.test.numSamples }, (_, n) =>
        Buffer.from(imagesOf(dataset.splits.test, n, 1)).toString('hex'),
      );
    const more = pngOf(new Uint8Array(36), [1, 6, 6]);
    writeFileSync(join(folder, 'class-a', 'another.png'), more);
    const second = rows(await open(folder, { testFraction: 0.25 }));
    for (const row of rows(first)) expect(second).toContain(row);
  });

  test('has images of one size, or is brought to one', async () => {
    const folder = writeImageFolder(temporaryFolder(), makeData([1, 6, 6], 2, [6, 2]));
    writeFileSync(join(folder, 'train', 'class-b', '00000.png'), pngOf(new Uint8Array(12 * 8).fill(90), [1, 12, 8]));
    await expect(open(folder)).rejects.toThrow(
      `images of two sizes: ${join(folder, 'train', 'class-a', '00000.png')} has 6x6 pixels, ` +
        `${join(folder, 'train', 'class-b', '00000.png')} has 12x8 (height x width): give --resize HxW`,
    );
    const { shape, splits } = await open(folder, { resize: { height: 3, width: 4 } });
    expect(shape).toEqual([1, 3, 4]);
    expect([...imagesOf(splits.train, 3, 1)]).toEqual(Array<number>(12).fill(90));
  });
});

describe('what was read once', () => {
  test('is found in the cache by its files, and read anew when they change', async () => {
    const folder = writeIdxFolder(temporaryFolder(), grey);
    const images = join(folder, 'train-images-idx3-ubyte');
    const [then, later] = [new Date('2026-01-02T03:04:05Z'), new Date('2026-01-02T03:04:06Z')];
    utimesSync(images, then, then);
    const first = await open(folder);
    const kept = readFileSync(images);
    // Other bytes under the same name, size and time are not looked at: it is the cached form that is used.
    writeFileSync(
      images,
      kept.map((pixel, at) => (at < 20 ? pixel : 255 - pixel)),
    );
    utimesSync(images, then, then);
    expect((await open(folder)).sha256).toBe(first.sha256);
    utimesSync(images, later, later);
    expect((await open(folder)).sha256).not.toBe(first.sha256);
  });

  test('is used by a run that is resumed when its files are gone', async () => {
    const folder = writeIdxFolder(temporaryFolder(), grey);
    const { sha256, shape, classes } = await open(folder);
    rmSync(folder, { recursive: true });
    const recorded = { name: 'mine', source: folder, shape, classes, sha256 };
    const source = await findDataset({ data: folder, recorded, log: () => {} });
    expect(source.name).toBe('mine');
    expectSamples(await source.open(), grey);
  });

  test('leaves the files as they are', async () => {
    const folder = writeImageFolder(temporaryFolder(), makeData([1, 6, 6], 2, [6, 2]));
    const list = () => (readdirSync(folder, { recursive: true }) as string[]).sort();
    const before = list();
    await open(folder);
    expect(list()).toEqual(before);
    expect(decodePng(readFileSync(join(folder, 'train', 'class-a', '00000.png'))).width).toBe(6);
  });

  test('is used without a cache, which is said', async () => {
    const blocked = join(temporaryFolder(), 'file');
    writeFileSync(blocked, '');
    vi.stubEnv('XDG_CACHE_HOME', blocked);
    const lines: string[] = [];
    expectSamples(await open(writeIdxFolder(temporaryFolder(), grey), { log: (line) => lines.push(line) }), grey);
    expect(lines).toEqual([expect.stringMatching(/this run goes on without keeping it$/)]);
  });
});
