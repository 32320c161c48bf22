/**
 * A .npz as numpy writes it: a zip of arrays. As Keras has them (`x_train`, `y_train`, `x_test`, `y_test`) and as MedMNIST
 * (`train_images`, `train_labels`, `val_images`, `test_images`, ...). An array of objects is refused: to read one is to run
 * what it holds. Source of the array format: NumPy enhancement proposal 1.
 */
import { Unzip, UnzipInflate } from 'fflate';
import type { RawDataset } from '../../../protocol/data/canonical.ts';
import { countOf } from '../../../protocol/counts.ts';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { createArrayParser } from './array-parser.ts';
import type { ArrayHeader, ArrayParser, ParsedArray } from './array-parser.ts';
import { readPieces } from './byte-stream.ts';
import { channelsFirst, shapeOfImages } from './channels.ts';
import { assemble } from './reader.ts';
import type { LabelValues, ReadOptions, SourceSplit } from './reader.ts';

/** Names of the arrays of images and labels of each split. */
const ARRAYS = {
  train: [
    ['x_train', 'y_train'],
    ['train_images', 'train_labels'],
  ],
  test: [
    ['x_test', 'y_test'],
    ['test_images', 'test_labels'],
  ],
  validation: [
    ['x_val', 'y_val'],
    ['val_images', 'val_labels'],
  ],
} as const;

/** A piece of a zip may unpack to a thousand times as much, in memory at once. */
export const ZIP_PIECE_BYTES = 16 * 1024;

const KNOWN: ReadonlySet<string> = new Set(Object.values(ARRAYS).flat(2));

export interface NpyHeader extends ArrayHeader {
  /** "<" or ">" for the order of bytes, "|" for none; then a letter, then bytes: "|u1", "<i8". */
  readonly descr: string;
}

type Arrays = ReadonlyMap<string, ParsedArray<NpyHeader>>;

/** The dataset of a file. Throws `ConfigError` for what is missing or not sound. */
export async function readNpz(path: string, { testFraction }: ReadOptions): Promise<RawDataset> {
  const arrays = await readArrays(path);
  const train = splitOf(path, arrays, 'train');
  if (!train) {
    const found = arrays.size === 0 ? 'none of these' : [...arrays.keys()].join(', ');
    throw new ConfigError(
      `${path}: expected arrays x_train, y_train, x_test, y_test, or train_images, train_labels, test_images, test_labels, ` +
        `got ${found}: save it with numpy.savez under these names`,
    );
  }
  const [test, validation] = [splitOf(path, arrays, 'test'), splitOf(path, arrays, 'validation')];
  return assemble(path, { train, test, validation }, { testFraction });
}

/** The arrays with names that are known here, each read to its end; what else the zip holds is passed over. */
async function readArrays(path: string): Promise<Arrays> {
  const arrays = new Map<string, ParsedArray<NpyHeader>>();
  const underWay = new Map<string, ArrayParser<NpyHeader>>();
  let problem: Error | undefined;
  let numFiles = 0;
  const unzip = new Unzip((file) => {
    numFiles++;
    const name = file.name.replace(/\.npy$/, '');
    if (!KNOWN.has(name)) return;
    const subject = `${path}: ${name}`;
    const parser = createArrayParser(subject, (bytes) => readNpyHeader(subject, bytes));
    underWay.set(name, parser);
    file.ondata = (error, chunk, isLast) => {
      if (problem !== undefined) return;
      try {
        if (error) throw new ConfigError(`${subject}: damaged (${error.message}): fetch or write it anew`);
        parser.push(chunk);
        if (!isLast) return;
        arrays.set(name, parser.end());
        underWay.delete(name);
      } catch (caught) {
        problem = caught as Error;
      }
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  for await (const piece of readPieces(path, ZIP_PIECE_BYTES)) {
    try {
      unzip.push(piece);
    } catch (error) {
      problem ??= new ConfigError(`${path}: damaged (${describeError(error)}): fetch or write it anew`);
    }
    if (problem !== undefined) throw problem;
  }
  if (numFiles === 0) throw new ConfigError(`${path}: expected a .npz, a zip of arrays, got something else`);
  const [cutShort] = underWay.keys();
  if (cutShort !== undefined) {
    throw new ConfigError(`${path}: truncated within ${cutShort}: fetch or write it anew`);
  }
  return arrays;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** The header of an array; undefined for too few bytes. Throws `ConfigError` for what is none, or holds no numbers. */
export function readNpyHeader(subject: string, bytes: Uint8Array): NpyHeader | undefined {
  const start = Math.min(bytes.length, MAGIC.length);
  if (!MAGIC.subarray(0, start).equals(bytes.subarray(0, start))) {
    throw new ConfigError(`${subject}: wrong magic number: expected an array as numpy saves it, got something else`);
  }
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isFirstVersion = bytes[6] === 1;
  const dictAt = isFirstVersion ? 10 : 12;
  const headerBytes = dictAt + (isFirstVersion ? view.getUint16(8, true) : view.getUint32(8, true));
  if (headerBytes > 65_536)
    throw new ConfigError(`${subject}: its header says that it has ${countOf(headerBytes, 'byte')}`);
  if (bytes.length < headerBytes) return undefined;
  const dict = Buffer.from(bytes.subarray(dictAt, headerBytes)).toString('latin1');
  const descr = /'descr':\s*'([^']*)'/.exec(dict)?.[1] ?? 'a record';
  const dimensions = /'shape':\s*\(([^)]*)\)/.exec(dict)?.[1];
  if (/O/.test(descr)) {
    throw new ConfigError(
      `${subject}: an array of Python objects, which are never unpickled: save numbers (numpy.asarray(..., dtype='uint8'))`,
    );
  }
  const [, itemBytes] = /^[<>|=]?[a-zA-Z](\d+)$/.exec(descr) ?? [];
  if (dimensions === undefined || itemBytes === undefined) {
    throw new ConfigError(`${subject}: its header cannot be read: ${dict.trim().slice(0, 200)}`);
  }
  if (/'fortran_order':\s*True/.test(dict)) {
    throw new ConfigError(`${subject}: in Fortran order, expected C order: save numpy.ascontiguousarray(...)`);
  }
  const shape = dimensions
    .split(',')
    .filter((size) => size.trim() !== '')
    .map(Number);
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new ConfigError(`${subject}: its header says a shape of (${dimensions})`);
  }
  return { headerBytes, shape, itemBytes: Number(itemBytes), descr };
}

function splitOf(path: string, arrays: Arrays, split: keyof typeof ARRAYS): SourceSplit | undefined {
  for (const [imagesName, labelsName] of ARRAYS[split]) {
    const [images, labels] = [arrays.get(imagesName), arrays.get(labelsName)];
    if (!images && !labels) continue;
    if (!images || !labels) {
      const [there, missing] = images ? [imagesName, labelsName] : [labelsName, imagesName];
      throw new ConfigError(`${path}: expected ${missing} beside ${there}, got none`);
    }
    const imagesFile = `${path}: ${imagesName}`;
    const labelsFile = `${path}: ${labelsName}`;
    if (images.header.descr !== '|u1') {
      throw new ConfigError(
        `${imagesFile}: expected bytes (uint8), 0 to 255, got ${images.header.descr}: save images.astype('uint8'), times 255 ` +
          'where they lie between 0 and 1',
      );
    }
    const { shape, isChannelsLast } = shapeOfImages(imagesFile, images.header.shape);
    return {
      imagesFile,
      labelsFile,
      shape,
      images: isChannelsLast ? channelsFirst(images.bytes, shape) : images.bytes,
      labels: labelsOf(labelsFile, labels),
    };
  }
  return undefined;
}

/** [N] or [N, 1] whole numbers of any size. */
function labelsOf(file: string, { header, bytes }: ParsedArray<NpyHeader>): LabelValues {
  const { shape, descr } = header;
  const isColumn = shape.length === 2 && shape[1] === 1;
  if (shape.length !== 1 && !isColumn) {
    throw new ConfigError(
      `${file}: expected labels [N] or [N, 1], got [${shape.join(', ')}]: several labels an image are not trained on`,
    );
  }
  const [, order, type, size] = /^([<>|=]?)([iub])(\d)$/.exec(descr) ?? [];
  const length = shape[0]!;
  if (type === undefined)
    throw new ConfigError(`${file}: expected whole numbers, got ${descr}: save labels.astype('uint8')`);
  if (descr === '|u1') return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = order !== '>';
  const at = (index: number): number => {
    const offset = index * Number(size);
    switch (`${type}${size!}`) {
      case 'i1':
        return view.getInt8(offset);
      case 'i2':
        return view.getInt16(offset, isLittle);
      case 'u2':
        return view.getUint16(offset, isLittle);
      case 'i4':
        return view.getInt32(offset, isLittle);
      case 'u4':
        return view.getUint32(offset, isLittle);
      case 'i8':
        return Number(view.getBigInt64(offset, isLittle));
      case 'u8':
        return Number(view.getBigUint64(offset, isLittle));
      default:
        return view.getUint8(offset);
    }
  };
  return Float64Array.from({ length }, (_, index) => at(index));
}
