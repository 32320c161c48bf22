/** The canonical form: one file for one set of samples, read back as it was, and nothing else. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesOf, fileBytes, memoryBytes } from '../../../protocol/data/byte-source.ts';
import { openCanonical, toCanonical } from '../../../protocol/data/canonical.ts';
import { holdSamples, imagesOf, selectSplits } from '../../../protocol/data/dataset.ts';
import type { SampleSet, StoredSampleSet } from '../../../protocol/data/dataset.ts';
import { canonicalFashionMnist, FASHION_MNIST_SHA256 } from '../../../protocol/data/fashion-mnist.ts';
import { readFashionMnist } from '../../helpers/fashion-mnist.ts';
import { makeData } from '../../helpers/data-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const data = { ...makeData([2, 5, 3], 3, [9, 6]), validation: makeData([2, 5, 3], 3, [3, 3]).train };

const wholeOf = async () => {
  const { bytes } = await toCanonical(data);
  return bytesOf(bytes, 0, bytes.byteLength);
};

test('Fashion-MNIST has the sum that the program knows', async () => {
  const files = await readFashionMnist();
  const { bytes } = canonicalFashionMnist(files);
  const whole = bytesOf(bytes, 0, bytes.byteLength);
  expect(createHash('sha256').update(whole).digest('hex')).toBe(FASHION_MNIST_SHA256);
});

test('has the bytes that its description says', async () => {
  const whole = await wholeOf();
  const headerLength = Number(new DataView(whole.buffer).getBigUint64(0, true));
  const header = JSON.parse(Buffer.from(whole.subarray(8, 8 + headerLength)).toString()) as object;
  expect(header).toEqual({
    __metadata__: { format: 'gradsock-dataset-1', classes: '["class-a","class-b","class-c"]' },
    'train.images': { dtype: 'U8', shape: [9, 2, 5, 3], data_offsets: [0, 270] },
    'train.labels': { dtype: 'U8', shape: [9], data_offsets: [270, 279] },
    'validation.images': { dtype: 'U8', shape: [3, 2, 5, 3], data_offsets: [279, 369] },
    'validation.labels': { dtype: 'U8', shape: [3], data_offsets: [369, 372] },
    'test.images': { dtype: 'U8', shape: [6, 2, 5, 3], data_offsets: [372, 552] },
    'test.labels': { dtype: 'U8', shape: [6], data_offsets: [552, 558] },
  });
  expect(headerLength % 8).toBe(0);
  expect(whole.length).toBe(8 + headerLength + 558);
});

describe('is read back', () => {
  test('from memory, in pieces of any size', async () => {
    const { sha256 } = await toCanonical(data);
    const whole = await wholeOf();
    for (const pieceBytes of [whole.length, 100, 7]) {
      const pieces = Array.from({ length: Math.ceil(whole.length / pieceBytes) }, (_, index) =>
        whole.slice(index * pieceBytes, (index + 1) * pieceBytes),
      );
      const { shape, classes, splits } = openCanonical(memoryBytes(pieces), sha256, 'it');
      expect([shape, classes]).toEqual([data.shape, data.classes]);
      for (const split of ['train', 'validation', 'test'] as const) {
        const set = splits[split]!;
        expect(imagesOf(set, 0, set.numSamples)).toEqual(data[split].images);
        expect(set.labels).toEqual(data[split].labels);
      }
    }
  });

  test('from a file, where large sets of images stay and small ones do not', async () => {
    const shape = [3, 64, 64] as const;
    const large = makeData(shape, 2, [6500, 4]);
    const imageBytes = 3 * 64 * 64;
    const { bytes, sha256 } = await toCanonical(large);
    const path = join(temporaryFolder(), 'large');
    writeFileSync(path, bytesOf(bytes, 0, bytes.byteLength));
    const file = fileBytes(path);
    const { splits } = openCanonical(file, sha256, path);
    const chosen = selectSplits(splits, { numTrainSamples: 6000, numValidationSamples: 500 });
    const { train, evaluation } = holdSamples(chosen, shape);
    const rows = new Uint8Array(3 * imageBytes);
    const rowOf = (row: number) => rows.subarray(row * imageBytes, (row + 1) * imageBytes);
    const imageOf = (index: number) => large.train.images.subarray(index * imageBytes, (index + 1) * imageBytes);
    (train as StoredSampleSet).stored.gather(rows, Uint32Array.of(5999, 0, 77));
    for (const [row, index] of [5999, 0, 77].entries()) expect(Buffer.compare(rowOf(row), imageOf(index))).toBe(0);
    expect(Buffer.compare(imagesOf(train, 10, 2), large.train.images.subarray(10 * imageBytes, 12 * imageBytes))).toBe(
      0,
    );
    // Those that are held back come after those that are trained on.
    expect(Buffer.compare((evaluation as SampleSet).images, large.train.images.subarray(6000 * imageBytes))).toBe(0);
    expect(evaluation.labels).toEqual(large.train.labels.subarray(6000));
    (chosen.evaluation as StoredSampleSet).stored.gather(rows, Uint32Array.of(0, 499, 5));
    for (const [row, index] of [6000, 6499, 6005].entries()) expect(Buffer.compare(rowOf(row), imageOf(index))).toBe(0);
    file.close();
  });
});

describe('of more than 256 classes', () => {
  const many = { ...makeData([1, 3, 3], 300, [601, 301]), validation: makeData([1, 3, 3], 300, [301, 1]).train };

  test('has labels of two bytes, little-endian, before the images, each at an even place', async () => {
    const { bytes } = await toCanonical(many);
    const whole = bytesOf(bytes, 0, bytes.byteLength);
    const headerLength = Number(new DataView(whole.buffer).getBigUint64(0, true));
    const header = JSON.parse(Buffer.from(whole.subarray(8, 8 + headerLength)).toString()) as object;
    const { __metadata__: metadata, ...tensors } = header as Record<string, unknown>;
    expect(metadata).toEqual({ format: 'gradsock-dataset-1', classes: JSON.stringify(many.classes) });
    expect(Object.entries(tensors)).toEqual([
      ['train.labels', { dtype: 'U16', shape: [601], data_offsets: [0, 1202] }],
      ['validation.labels', { dtype: 'U16', shape: [301], data_offsets: [1202, 1804] }],
      ['test.labels', { dtype: 'U16', shape: [301], data_offsets: [1804, 2406] }],
      ['train.images', { dtype: 'U8', shape: [601, 1, 3, 3], data_offsets: [2406, 7815] }],
      ['validation.images', { dtype: 'U8', shape: [301, 1, 3, 3], data_offsets: [7815, 10_524] }],
      ['test.images', { dtype: 'U8', shape: [301, 1, 3, 3], data_offsets: [10_524, 13_233] }],
    ]);
    // Label 299 of the last class.
    const labelAt = 8 + headerLength + 2 * 299;
    expect([...whole.subarray(labelAt, labelAt + 2)]).toEqual([299 - 256, 1]);
  });

  test('is read back as it was: from memory that lies at any place, in pieces, and from a file', async () => {
    const { bytes, sha256 } = await toCanonical(many);
    const whole = bytesOf(bytes, 0, bytes.byteLength);
    const path = join(temporaryFolder(), 'many');
    writeFileSync(path, whole);
    const shifted = new Uint8Array(whole.length + 1);
    shifted.set(whole, 1);
    const sources = {
      even: memoryBytes([whole]),
      odd: memoryBytes([shifted.subarray(1)]),
      cut: memoryBytes([whole.slice(0, 4001), whole.slice(4001)]),
      file: fileBytes(path),
    };
    for (const [where, source] of Object.entries(sources)) {
      const { splits, classes } = openCanonical(source, sha256, where);
      expect(classes).toEqual(many.classes);
      for (const split of ['train', 'validation', 'test'] as const) {
        const set = splits[split]!;
        expect(set.labels, where).toEqual(many[split].labels);
        expect(imagesOf(set, 0, set.numSamples)).toEqual(many[split].images);
      }
      const { train, evaluation } = selectSplits(splits, { numTrainSamples: 290, numValidationSamples: 20 });
      expect([...train.labels.subarray(-2)]).toEqual([288, 289]);
      expect([...evaluation.labels.subarray(8, 12)]).toEqual([298, 299, 0, 1]);
    }
    sources.file.close();
  });

  test('has one form for one set of samples: bytes up to 256 classes, two bytes from 257 on', async () => {
    for (const [numClasses, dtype] of [
      [256, 'U8'],
      [257, 'U16'],
    ] as const) {
      const { bytes } = await toCanonical(makeData([1, 1, 1], numClasses, [numClasses, 1]));
      const whole = bytesOf(bytes, 0, bytes.byteLength);
      const text = Buffer.from(whole).toString('latin1');
      expect(text).toContain(`"train.labels":{"dtype":"${dtype}"`);
      const other = dtype === 'U8' ? 'U16' : 'U8';
      const swapped = text.replaceAll(`labels":{"dtype":"${dtype}"`, `labels":{"dtype":"${other}"`);
      expect(() => openCanonical(memoryBytes([new Uint8Array(Buffer.from(swapped, 'latin1'))]), '', 'it')).toThrow(
        /^it: not a dataset in canonical form/,
      );
    }
  });

  test('may have 65,536 of them, with names up to the length of a header', async () => {
    const most = makeData([1, 1, 1], 65_536, [65_536, 1]);
    const { bytes, sha256 } = await toCanonical(most);
    const { splits, classes } = openCanonical(bytes, sha256, 'it');
    expect(classes.length).toBe(65_536);
    expect(splits.train.labels[65_535]).toBe(65_535);
    const long = { ...most, classes: most.classes.map((name) => name.padEnd(300, '-')) };
    await expect(toCanonical(long)).rejects.toThrow(
      /^the names of 65536 classes take \d+ bytes, expected at most 16777216: shorten them$/,
    );
  });
});

describe('is refused when it', () => {
  const headerOf = (header: object, body: Uint8Array) => {
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return new Uint8Array(Buffer.concat([length, json, body]));
  };
  const metadata = { format: 'gradsock-dataset-1', classes: '["a","b"]' };
  const tensors = {
    'train.images': { dtype: 'U8', shape: [2, 1, 1, 1], data_offsets: [0, 2] },
    'train.labels': { dtype: 'U8', shape: [2], data_offsets: [2, 4] },
    'test.images': { dtype: 'U8', shape: [1, 1, 1, 1], data_offsets: [4, 5] },
    'test.labels': { dtype: 'U8', shape: [1], data_offsets: [5, 6] },
  };
  const body = Uint8Array.of(9, 9, 0, 1, 9, 1);
  const sound = { __metadata__: metadata, ...tensors };
  const tryOpen = (bytes: Uint8Array<ArrayBuffer>) => openCanonical(memoryBytes([bytes]), '0'.repeat(64), 'it');

  test('not: this one is sound', () => {
    expect(tryOpen(headerOf(sound, body)).splits.train.numSamples).toBe(2);
  });

  test.each<[string, Uint8Array<ArrayBuffer>, string]>([
    ['is empty', new Uint8Array(0), '0 bytes, expected more'],
    ['has a header longer than itself', new Uint8Array(8).fill(255), 'a header of'],
    ['has no JSON in its header', headerOf('text' as never, body), 'not a dataset in canonical form'],
    ['is another safetensors file', headerOf({ ...sound, __metadata__: { format: 'pt' } }, body), 'format'],
    ['has no classes', headerOf({ ...sound, __metadata__: { ...metadata, classes: '[]' } }, body), 'not a dataset'],
    ['has a label out of range', headerOf(sound, Uint8Array.of(9, 9, 0, 2, 9, 1)), 'train label 1 is 2 of 2 classes'],
    ['has bytes after the end', headerOf(sound, Uint8Array.of(...body, 0)), '7 bytes of samples, described are 6'],
    ['lacks bytes', headerOf(sound, body.subarray(0, 5)), '5 bytes of samples, described are 6'],
    [
      'has a gap',
      headerOf({ ...sound, 'train.labels': { ...tensors['train.labels'], data_offsets: [3, 5] } }, body),
      'train.labels lies at 3 to 5',
    ],
    [
      'has floats',
      headerOf({ ...sound, 'train.labels': { ...tensors['train.labels'], dtype: 'F32' } }, body),
      'not a dataset',
    ],
    [
      'has labels wider than its classes need',
      headerOf(
        {
          __metadata__: metadata,
          'train.labels': { dtype: 'U16', shape: [2], data_offsets: [0, 4] },
          'test.labels': { dtype: 'U16', shape: [1], data_offsets: [4, 6] },
          'train.images': { dtype: 'U8', shape: [2, 1, 1, 1], data_offsets: [6, 8] },
          'test.images': { dtype: 'U8', shape: [1, 1, 1, 1], data_offsets: [8, 9] },
        },
        new Uint8Array(9),
      ),
      'train.labels is U16, expected U8',
    ],
    [
      'has images of two bytes',
      headerOf(
        {
          __metadata__: metadata,
          'train.images': { dtype: 'U16', shape: [1, 1, 1, 1], data_offsets: [0, 2] },
          'train.labels': { dtype: 'U8', shape: [1], data_offsets: [2, 3] },
          'test.images': { dtype: 'U8', shape: [1, 1, 1, 1], data_offsets: [3, 4] },
          'test.labels': { dtype: 'U8', shape: [1], data_offsets: [4, 5] },
        },
        new Uint8Array(5),
      ),
      'train.images is U16, expected U8',
    ],
    [
      'has other numbers of labels',
      headerOf({ ...sound, 'train.labels': { ...tensors['train.labels'], shape: [1, 2] } }, body),
      'train has 2 images and [1, 2] labels',
    ],
    [
      'has no test samples',
      headerOf({ __metadata__: metadata, 'train.images': tensors['train.images'] }, Uint8Array.of(1, 1)),
      'no training or no test samples',
    ],
  ])('%s', (_what, bytes, message) => {
    expect(() => tryOpen(bytes)).toThrow(message);
    expect(() => tryOpen(bytes)).toThrow(/^it: not a dataset in canonical form/);
  });
});
