/** Data that is not sound: a hundred files and folders, each refused with a sentence that names it and says what is wrong. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { Zip, ZipDeflate, zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { findDataset } from '../../../coordinator/dataset/find-dataset.ts';
import { bytesOfLabels } from '../../../protocol/data/labels.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import {
  idxFile,
  makeData,
  npyFile,
  npzArrays,
  pngOf,
  writeCifar10,
  writeIdxFolder,
  writeImageFolder,
} from '../../helpers/data-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const grey = makeData([1, 6, 5], 3, [12, 6]);
const colour = makeData([3, 32, 32], 2, [6, 4]);

const SOUND = {
  idx: (folder: string) => writeIdxFolder(folder, grey),
  cifar10: (folder: string) => writeCifar10(folder, colour),
  images: (folder: string) => writeImageFolder(folder, grey),
};

beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A sound folder, spoilt. */
function spoilt(form: keyof typeof SOUND, spoil: (folder: string) => void): string {
  const folder = SOUND[form](join(temporaryFolder(), 'data'));
  spoil(folder);
  return folder;
}

async function refusal(data: string): Promise<string> {
  const error: unknown = await findDataset({ data, log: () => {} }).then(
    () => new Error('it was read'),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as Error).message;
}

const TRAIN_IMAGES = 'train-images-idx3-ubyte';
const TRAIN_LABELS = 'train-labels-idx1-ubyte';
const TEST_LABELS = 't10k-labels-idx1-ubyte';

type Edit = readonly [name: string, file: string, edit: (bytes: Buffer) => Uint8Array, message: RegExp];

const cut = (length: number) => (bytes: Buffer) => bytes.subarray(0, length);
const extended = (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)]);
const set = (at: number, value: number) => (bytes: Buffer) => {
  bytes[at] = value;
  return bytes;
};

describe('IDX files', () => {
  const edits: Edit[] = [
    ...[0, 1, 2, 3].map((at): Edit => [
      `byte ${at} of the magic number`,
      TRAIN_IMAGES,
      set(at, 9),
      /wrong magic number: expected 0000080N/,
    ]),
    ...[0x0b, 0x0c, 0x0d, 0x0e].map((type): Edit => [
      `elements of type ${type}`,
      TRAIN_IMAGES,
      set(2, type),
      /wrong magic number: .*got 0000/,
    ]),
    ...[0, 1, 3, 4, 8, 15].map((length): Edit => [
      `images of ${length} bytes`,
      TRAIN_IMAGES,
      cut(length),
      /truncated: \d+ bytes?, which is not even a header/,
    ]),
    ...[16, 17, 100, 375].map((length): Edit => [
      `images cut after ${length} bytes`,
      TRAIN_IMAGES,
      cut(length),
      new RegExp(`truncated: expected 376 bytes, got ${length} bytes: fetch`),
    ]),
    ...[0, 7].map((length): Edit => [
      `labels of ${length} bytes`,
      TRAIN_LABELS,
      cut(length),
      /truncated: \d bytes, which is not even a header/,
    ]),
    ...[8, 13].map((length): Edit => [
      `labels cut after ${length} bytes`,
      TEST_LABELS,
      cut(length),
      /truncated: expected \d+ bytes, got/,
    ]),
    [
      'images with a byte after the end',
      TRAIN_IMAGES,
      extended,
      /bytes after the end: expected 376 bytes, as its header says, got more/,
    ],
    ['labels with a byte after the end', TEST_LABELS, extended, /bytes after the end: expected 14 bytes/],
    [
      'a label out of range',
      TRAIN_LABELS,
      set(8 + 4, 3),
      /train-labels-idx1-ubyte: label 4 \(counted from 0\) is 3, expected 0 to 2, of 3 classes/,
    ],
    [
      'a test label out of range',
      TEST_LABELS,
      set(8, 255),
      /t10k-labels-idx1-ubyte: label 0 \(counted from 0\) is 255, expected 0 to 2/,
    ],
    [
      'more images than labels',
      TRAIN_LABELS,
      () => idxFile([11], bytesOfLabels(grey.train.labels).subarray(0, 11)),
      /expected one label for each of the 12 images of .*, got 11/,
    ],
    [
      'more labels than images',
      TRAIN_IMAGES,
      () => idxFile([11, 6, 5], grey.train.images.subarray(0, 330)),
      /expected one label for each of the 11 images of .*, got 12/,
    ],
    [
      'labels that are fractions',
      TRAIN_LABELS,
      () => idxFile([12], new Uint8Array(48), 0x0d),
      /wrong magic number: expected 0000080N, 0000090N, 00000b0N or 00000c0N, an IDX file of whole numbers .*got 00000d01/,
    ],
    [
      'a label of 16 bits out of range',
      TRAIN_LABELS,
      () => idxFile([12], Buffer.from(Uint16Array.from(grey.train.labels).fill(300, 4, 5).buffer).swap16(), 0x0b),
      /train-labels-idx1-ubyte: label 4 \(counted from 0\) is 300, expected 0 to 2, of 3 classes/,
    ],
    [
      'a label of 32 bits below 0',
      TEST_LABELS,
      () => idxFile([6], new Uint8Array(24).fill(255), 0x0c),
      /t10k-labels-idx1-ubyte: label 0 \(counted from 0\) is -1, expected 0 to 2/,
    ],
    [
      'labels of 16 bits, cut short',
      TRAIN_LABELS,
      () => idxFile([12], new Uint8Array(23), 0x0b),
      /truncated: expected 32 bytes, got 31 bytes/,
    ],
    [
      'labels that are images',
      TRAIN_LABELS,
      () => idxFile([12, 1, 1], bytesOfLabels(grey.train.labels)),
      /expected labels \[N\], got \[12, 1, 1\]/,
    ],
    [
      'images that are labels',
      TRAIN_IMAGES,
      () => idxFile([360], grey.train.images),
      /expected images \[N, height, width\]/,
    ],
    [
      'images of no size',
      TRAIN_IMAGES,
      () => idxFile([12, 0, 5], new Uint8Array(0)),
      /expected images \[N, height, width\].*got \[12, 0, 5\]/,
    ],
    [
      'images of five channels',
      TRAIN_IMAGES,
      () => idxFile([12, 5, 6, 5], new Uint8Array(1800)),
      /at most 4 channels, got \[12, 5, 6, 5\]/,
    ],
    [
      'no images',
      TRAIN_IMAGES,
      () => idxFile([0, 6, 5], new Uint8Array(0)),
      /expected one label for each of the 0 images/,
    ],
    [
      'a header that claims an exabyte',
      TRAIN_IMAGES,
      () => idxFile([2 ** 30, 2 ** 20, 2 ** 10], new Uint8Array(0)),
      /its header says \[1073741824, 1048576, 1024\], \d+ bytes, more than can be read here/,
    ],
    [
      'test images of another shape',
      't10k-images-idx3-ubyte',
      () => idxFile([6, 5, 6], grey.test.images),
      /expected images of \[1, 6, 5\], as in .*, got \[1, 5, 6\]: training and test images must have one shape/,
    ],
    [
      'a class that no sample has',
      TRAIN_LABELS,
      (bytes) => bytes.map((value, at) => (at >= 8 && value === 1 ? 0 : value)),
      /class 1 \(class-b\) has no training sample/,
    ],
    ['a file of text', TRAIN_IMAGES, () => Buffer.from('these are my images'), /wrong magic number: .*got 74686573/],
  ];
  test.each(edits)('%s', async (_name, file, edit, message) => {
    const folder = spoilt('idx', (at) => writeFileSync(join(at, file), edit(readFileSync(join(at, file)))));
    expect(await refusal(folder)).toMatch(message);
    expect(await refusal(folder)).toContain(folder);
  });

  const gz = (spoil: (bytes: Buffer) => Uint8Array) => (folder: string) => {
    const path = join(folder, TRAIN_IMAGES);
    writeFileSync(`${path}.gz`, spoil(gzipSync(readFileSync(path))));
    rmSync(path);
  };
  test.each<[string, (folder: string) => void, RegExp]>([
    ['a .gz that is none', gz(() => Buffer.from('not compressed')), /a damaged gzip file \(incorrect header check\)/],
    ['a .gz cut short', gz((bytes) => bytes.subarray(0, bytes.length - 20)), /a damaged gzip file|truncated/],
    [
      'a .gz with a wrong sum',
      gz((bytes) => set(bytes.length - 8, bytes[bytes.length - 8]! ^ 1)(bytes)),
      /a damaged gzip file \(incorrect data check\)/,
    ],
    [
      'a .gz that unpacks to more than it says',
      gz(() => gzipSync(Buffer.concat([idxFile([12, 6, 5], grey.train.images), Buffer.alloc(50_000_000)]))),
      /bytes after the end/,
    ],
    [
      'no labels',
      (at) => rmSync(join(at, TRAIN_LABELS)),
      /expected its labels beside it, as train-labels-idx1-ubyte or \.gz, got none/,
    ],
    [
      'no training images',
      (at) => rmSync(join(at, TRAIN_IMAGES)),
      /expected training images, as train-images-idx3-ubyte or \.gz, got/,
    ],
    [
      'no test images',
      (at) => rmSync(join(at, 't10k-images-idx3-ubyte')),
      /it has no test samples: add them, or give --test-fraction/,
    ],
    [
      'a folder in place of a file',
      (at) => {
        rmSync(join(at, TRAIN_IMAGES));
        mkdirSync(join(at, TRAIN_IMAGES));
      },
      /cannot be read: it is a folder, not a file/,
    ],
    [
      'fewer names than classes',
      (at) => writeFileSync(join(at, 'classes.txt'), 'one\ntwo\n'),
      /label 2 \(counted from 0\) is 2, expected 0 to 1, of 2 classes/,
    ],
    [
      'more names than classes',
      (at) => writeFileSync(join(at, 'classes.txt'), 'one\ntwo\nthree\nfour\n'),
      /class 3 \(four\) has no training sample/,
    ],
    [
      'too many classes',
      (at) => writeFileSync(join(at, 'classes.txt'), 'name\n'.repeat(65_537)),
      /65537 classes, expected at most 65536: join some, or leave some out/,
    ],
  ])('%s', async (_name, spoil, message) => {
    expect(await refusal(spoilt('idx', spoil))).toMatch(message);
  });
});

describe('a .npz', () => {
  type Arrays = Record<string, Uint8Array>;
  const with_ =
    (name: string, array: Uint8Array) =>
    (arrays: Arrays): Arrays => ({ ...arrays, [`${name}.npy`]: array });
  const without =
    (name: string) =>
    (arrays: Arrays): Arrays =>
      Object.fromEntries(Object.entries(arrays).filter(([key]) => key !== `${name}.npy`));
  const images = (descr: string, bytes = 1, order = 'False') =>
    npyFile(descr, [12, 6, 5], new Uint8Array(360 * bytes), order);
  const headless = (text: string) => {
    const array = Buffer.from(npyFile('|u1', [12, 6, 5], grey.train.images));
    array.fill(' ', 10, 10 + array.readUInt16LE(8));
    array.write(text, 10, 'latin1');
    return new Uint8Array(array);
  };
  test.each<[string, (arrays: Arrays) => Arrays, RegExp]>([
    [
      'images of objects',
      with_('x_train', npyFile('|O', [12], new Uint8Array(400))),
      /x_train: an array of Python objects, which are never unpickled/,
    ],
    [
      'labels of objects',
      with_('y_train', npyFile('|O', [12], new Uint8Array(400))),
      /y_train: an array of Python objects/,
    ],
    [
      'images of floats',
      with_('x_train', images('<f4', 4)),
      /expected bytes \(uint8\), 0 to 255, got <f4: save images\.astype/,
    ],
    ['images of doubles', with_('x_train', images('<f8', 8)), /expected bytes \(uint8\), 0 to 255, got <f8/],
    ['images of 16 bits', with_('x_train', images('<u2', 2)), /expected bytes \(uint8\), 0 to 255, got <u2/],
    ['images of booleans', with_('x_train', images('|b1')), /expected bytes \(uint8\), 0 to 255, got \|b1/],
    ['images in Fortran order', with_('x_train', images('|u1', 1, 'True')), /in Fortran order, expected C order/],
    ['labels of floats', with_('y_train', npyFile('<f4', [12], new Uint8Array(48))), /expected whole numbers, got <f4/],
    [
      'labels of text',
      with_('y_train', npyFile('<U1', [12], new Uint8Array(48))),
      /truncated|expected whole numbers, got <U1|bytes after/,
    ],
    [
      'labels one-hot',
      with_('y_train', npyFile('|u1', [12, 3], new Uint8Array(36))),
      /expected labels \[N\] or \[N, 1\], got \[12, 3\]: several labels an image/,
    ],
    [
      'labels below 0',
      with_('y_train', npyFile('|i1', [12], new Uint8Array(12).fill(255))),
      /label 0 \(counted from 0\) is -1, expected 0 to 65535, of at most 65536 classes/,
    ],
    [
      'labels of a million',
      with_('y_train', npyFile('<i4', [12], new Uint8Array(Int32Array.from({ length: 12 }, () => 1e6).buffer))),
      /label 0 \(counted from 0\) is 1000000, expected 0 to 65535, of at most 65536 classes/,
    ],
    [
      'labels of 65,536',
      with_('y_train', npyFile('<u4', [12], new Uint8Array(new Uint32Array(12).fill(65_536).buffer))),
      /label 0 \(counted from 0\) is 65536, expected 0 to 65535, of at most 65536 classes: correct the labels$/,
    ],
    [
      'labels with gaps',
      with_(
        'y_train',
        npyFile('<u2', [12], new Uint8Array(Uint16Array.from({ length: 12 }, (_, n) => 300 * n).buffer)),
      ),
      /class 1 \(1\) has no training sample: expected at least one of each of 3301: count labels from 0, without gaps/,
    ],
    [
      'test labels of a class that is not trained on, above 255',
      with_('y_test', npyFile('<i2', [6], new Uint8Array(Int16Array.of(0, 1, 256, 2, 1, 2).buffer))),
      /y_test: label 2 \(counted from 0\) is 256, expected 0 to 2/,
    ],
    [
      'test labels out of range',
      with_('y_test', npyFile('|u1', [6], Uint8Array.of(0, 1, 2, 3, 1, 2))),
      /y_test: label 3 \(counted from 0\) is 3, expected 0 to 2/,
    ],
    ['no labels', without('y_train'), /expected y_train beside x_train, got none/],
    ['no images', without('x_train'), /expected x_train beside y_train, got none/],
    [
      'no training samples',
      (arrays) => without('x_train')(without('y_train')(arrays)),
      /expected arrays x_train, y_train, .*got x_test, y_test/,
    ],
    ['no test samples', (arrays) => without('x_test')(without('y_test')(arrays)), /it has no test samples/],
    ['other arrays', () => ({ 'a.npy': images('|u1') }), /expected arrays x_train, .*got none of these/],
    [
      'more labels than images',
      with_('y_train', npyFile('|u1', [13], new Uint8Array(13))),
      /expected one label for each of the 12 images/,
    ],
    [
      'flat images',
      with_('x_train', npyFile('|u1', [12, 30], grey.train.images)),
      /expected images \[N, height, width\].*got \[12, 30\]/,
    ],
    [
      'images of another shape for testing',
      with_('x_test', npyFile('|u1', [6, 5, 6], grey.test.images)),
      /must have one shape/,
    ],
    ['an array that is none', with_('x_train', Buffer.from('hello, this is no array')), /x_train: wrong magic number/],
    ['an empty array file', with_('x_train', new Uint8Array(0)), /x_train: truncated: 0 bytes/],
    [
      'an array without its end',
      with_('x_train', npyFile('|u1', [12, 6, 5], grey.train.images.subarray(1))),
      /x_train: truncated: expected \d+ bytes, got/,
    ],
    [
      'an array with bytes after the end',
      with_('x_train', npyFile('|u1', [11, 6, 5], grey.train.images)),
      /x_train: bytes after the end/,
    ],
    [
      'an array whose header is cut',
      with_('x_train', npyFile('|u1', [12, 6, 5], new Uint8Array(0)).subarray(0, 40)),
      /x_train: truncated: 40 bytes, which is not even a header/,
    ],
    [
      'a header without a shape',
      with_('x_train', headless("{'descr': '|u1', 'fortran_order': False}")),
      /its header cannot be read/,
    ],
    [
      'a header without a type',
      with_('x_train', headless("{'fortran_order': False, 'shape': (12, 6, 5)}")),
      /its header cannot be read/,
    ],
    [
      'a shape of words',
      with_('x_train', headless("{'descr': '|u1', 'fortran_order': False, 'shape': (a, b)}")),
      /its header says a shape of \(a, b\)/,
    ],
    [
      'a negative shape',
      with_('x_train', headless("{'descr': '|u1', 'fortran_order': False, 'shape': (-12, 6, 5)}")),
      /its header says a shape of \(-12, 6, 5\)/,
    ],
    [
      'a record type',
      with_('x_train', headless("{'descr': [('r', '|u1')], 'fortran_order': False, 'shape': (12,)}")),
      /its header cannot be read/,
    ],
    [
      'an array that claims an exabyte',
      with_('x_train', npyFile('|u1', [2 ** 40, 2 ** 10, 2 ** 10], new Uint8Array(0))),
      /more than can be read here/,
    ],
    [
      'a class that no sample has',
      with_('y_train', npyFile('|u1', [12], new Uint8Array(12).fill(2))),
      /class 0 \(0\) has no training sample/,
    ],
  ])('%s', async (_name, change, message) => {
    const path = join(temporaryFolder(), 'data.npz');
    writeFileSync(path, zipSync(change(npzArrays(grey, 'keras'))));
    const text = await refusal(path);
    expect(text).toMatch(message);
    expect(text).toContain(path);
  });

  const zip = () => Buffer.from(zipSync(npzArrays(grey, 'keras')));
  test.each<[string, () => Uint8Array, RegExp]>([
    [
      'that is no zip',
      () => Buffer.from('PK? no, only text that is long enough'),
      /expected a \.npz, a zip of arrays, got something else/,
    ],
    ['that is empty', () => Buffer.alloc(0), /expected a \.npz, a zip of arrays/],
    ['cut within an array', () => zip().subarray(0, 120), /truncated within x_train|damaged/],
    [
      'cut after the first array',
      () => zip().subarray(0, Math.floor(zip().length / 3)),
      /truncated within|expected y_train beside|damaged/,
    ],
    [
      'whose packed bytes are damaged',
      () => {
        const bytes = zip();
        bytes.fill(0xff, 60, 100);
        return bytes;
      },
      /damaged|wrong magic|truncated/,
    ],
  ])('%s', async (_name, make, message) => {
    const path = join(temporaryFolder(), 'data.npz');
    writeFileSync(path, make());
    expect(await refusal(path)).toMatch(message);
  });

  test('that unpacks to far more than its header says takes no memory for it', async () => {
    const path = join(temporaryFolder(), 'bomb.npz');
    const pieces: Uint8Array[] = [];
    const zipped = new Zip((_, piece) => pieces.push(piece));
    const array = new ZipDeflate('x_train.npy', { level: 1 });
    zipped.add(array);
    array.push(npyFile('|u1', [12, 6, 5], grey.train.images));
    const zeros = new Uint8Array(2 ** 20);
    for (let mebibyte = 0; mebibyte < 120; mebibyte++) array.push(zeros, mebibyte === 119);
    zipped.end();
    writeFileSync(path, Buffer.concat(pieces));
    global.gc?.();
    const before = process.memoryUsage().rss;
    expect(await refusal(path)).toMatch(/x_train: bytes after the end/);
    expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
  });
});

describe("CIFAR-10's files", () => {
  test.each<[string, (folder: string) => void, RegExp]>([
    [
      'cut short',
      (at) => writeFileSync(join(at, 'data_batch_1.bin'), readFileSync(join(at, 'data_batch_1.bin')).subarray(1)),
      /data_batch_1\.bin: expected records of 3073 bytes, .*no whole number of them/,
    ],
    [
      'with a byte too many',
      (at) => writeFileSync(join(at, 'test_batch.bin'), extended(readFileSync(join(at, 'test_batch.bin')))),
      /test_batch\.bin: expected records of 3073 bytes/,
    ],
    ['that are empty', (at) => writeFileSync(join(at, 'data_batch_2.bin'), ''), /data_batch_2\.bin: expected records/],
    [
      'with a label out of range',
      (at) => writeFileSync(join(at, 'test_batch.bin'), set(3073, 9)(readFileSync(join(at, 'test_batch.bin')))),
      /test_batch\.bin: label 1 \(counted from 0\) is 9, expected 0 to 1/,
    ],
    ['without test samples', (at) => rmSync(join(at, 'test_batch.bin')), /it has no test samples/],
    [
      'that are folders',
      (at) => {
        rmSync(join(at, 'data_batch_1.bin'));
        mkdirSync(join(at, 'data_batch_1.bin'));
      },
      /cannot be read: it is a folder/,
    ],
  ])('%s', async (_name, spoil, message) => {
    expect(await refusal(spoilt('cifar10', spoil))).toMatch(message);
  });
});

describe('a folder of images', () => {
  const first = (folder: string) => join(folder, 'train', 'class-a', '00000.png');
  const png = () => Buffer.from(pngOf(grey.train.images.subarray(0, 30), [1, 6, 5]));
  /** A chunk of a PNG file, with a wrong sum. */
  const chunk = (type: string, bytes: Uint8Array) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(bytes.length);
    head.write(type, 4, 'latin1');
    return Buffer.concat([head, bytes, Buffer.alloc(4)]);
  };
  test.each<[string, (path: string, folder: string) => void, RegExp]>([
    [
      'with a file that is text',
      (path) => writeFileSync(path, 'hello'),
      /00000\.png: cannot be decoded: it is neither a PNG nor a JPEG file/,
    ],
    ['with an empty file', (path) => writeFileSync(path, ''), /00000\.png: cannot be decoded/],
    [
      'with a PNG that is only a signature',
      (path) => writeFileSync(path, png().subarray(0, 8)),
      /00000\.png: cannot be decoded: 8 bytes are too few for a PNG/,
    ],
    ['with a PNG cut short', (path) => writeFileSync(path, png().subarray(0, 50)), /00000\.png: cannot be decoded/],
    [
      'with a PNG whose sum is wrong',
      (path) => writeFileSync(path, set(45, png()[45]! ^ 1)(png())),
      /00000\.png: cannot be decoded/,
    ],
    [
      'with a PNG of no size',
      (path) => writeFileSync(path, set(19, 0)(png())),
      /00000\.png: cannot be decoded: 0x6 pixels/,
    ],
    [
      'with a PNG of a billion pixels',
      (path) => writeFileSync(path, set(16, 0x10)(png())),
      /00000\.png: cannot be decoded: \d+x6 pixels, expected 1 to/,
    ],
    [
      'with a PNG that was made to fill memory',
      (path) =>
        writeFileSync(
          path,
          Buffer.concat([png().subarray(0, 33), chunk('IDAT', deflateSync(Buffer.alloc(200_000_000)))]),
        ),
      /00000\.png: cannot be decoded: \d+ bytes of pixels for 5x6, expected at most/,
    ],
    [
      'with a JPEG cut short',
      (path) => {
        rmSync(path);
        writeFileSync(path.replace('.png', '.jpg'), Buffer.of(0xff, 0xd8, 0xff, 0xe0, 0, 16));
      },
      /00000\.jpg: cannot be decoded/,
    ],
    [
      'with two sizes',
      (path) => writeFileSync(path, pngOf(new Uint8Array(20), [1, 4, 5])),
      /images of two sizes: .*00000\.png has 4x5 pixels, .*00003\.png has 6x5/,
    ],
    [
      'with a folder in place of a file',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      /cannot be read: it is a folder/,
    ],
    [
      'with a class for testing that is not trained on',
      (_, at) => renameSync(join(at, 'test', 'class-a'), join(at, 'test', 'class-x')),
      /class-x: expected a class that is in train/,
    ],
    [
      'with an empty folder for testing',
      (_, at) => {
        rmSync(join(at, 'test'), { recursive: true });
        mkdirSync(join(at, 'test'));
      },
      /test: expected images in folders, one for each of 3 classes, got none/,
    ],
    ['without test samples', (_, at) => rmSync(join(at, 'test'), { recursive: true }), /it has no test samples/],
    [
      'with nothing in it',
      (_, at) => {
        rmSync(at, { recursive: true });
        mkdirSync(at);
      },
      /expected images in train\/CLASS\/ and test\/CLASS\/, IDX files .*got nothing/,
    ],
    [
      'with files of another kind',
      (_, at) => {
        rmSync(at, { recursive: true });
        mkdirSync(at);
        writeFileSync(join(at, 'notes.txt'), '');
      },
      /expected images in train\/CLASS\/.*got notes\.txt/,
    ],
  ])('%s', async (_name, spoil, message) => {
    expect(await refusal(spoilt('images', (folder) => spoil(first(folder), folder)))).toMatch(message);
  });
});

test.each<[string, string, RegExp]>([
  [
    'a name that is none',
    'fashon-mnist',
    /--data fashon-mnist: expected fashion-mnist, mnist, kmnist, emnist-letters, cifar10, or the path of your data/,
  ],
  [
    'a path that is not there',
    './no/such/folder',
    /--data \.\/no\/such\/folder: cannot be read: there is no such file/,
  ],
])('%s', async (_name, data, message) => {
  expect(await refusal(data)).toMatch(message);
});

test('a file of another kind', async () => {
  const path = join(temporaryFolder(), 'images.csv');
  writeFileSync(path, '1,2,3\n');
  expect(await refusal(path)).toBe(`--data ${path}: expected a folder or a .npz file, got another file`);
  expect(basename(path)).toBe('images.csv');
});
