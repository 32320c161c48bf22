/**
 * IDX files, as MNIST and its successors come: two bytes 0, the type of the elements, the number of dimensions, each
 * dimension as a big-endian number of 32 bits, then the elements. Source: LeCun, Cortes and Burges, The MNIST database.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { RawDataset } from '../../../protocol/data/canonical.ts';
import { imageBytesOf } from '../../../protocol/data/dataset.ts';
import type { ImageShape } from '../../../protocol/data/dataset.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { createArrayParser } from './array-parser.ts';
import type { ArrayHeader, ParsedArray } from './array-parser.ts';
import { readPieces } from './byte-stream.ts';
import { channelsFirst, shapeOfImages } from './channels.ts';
import { assemble } from './reader.ts';
import type { LabelValues, ReadOptions, SourceSplit } from './reader.ts';

/** Images of IDX files: "train-images-idx3-ubyte.gz", "t10k-images.idx3-ubyte". */
const IMAGES = /^(.*)images([-.]idx)/;
const SPLIT_NAMES = { train: /train/, test: /t10k|test/, validation: /val/ } as const;
type SplitName = keyof typeof SPLIT_NAMES;

/** Bytes of whole numbers, by the code of their type: unsigned and signed bytes, 16 and 32 bits. */
const UNSIGNED_BYTE = 0x08;
const ITEM_BYTES: Readonly<Record<number, number>> = { [UNSIGNED_BYTE]: 1, 0x09: 1, 0x0b: 2, 0x0c: 4 };

interface IdxHeader extends ArrayHeader {
  readonly type: number;
}

export interface IdxOptions extends ReadOptions {
  /** Default: the lines of `classes.txt` beside the files, else numbers. */
  readonly classes?: readonly string[] | undefined;
  /** Default: all files of the folder. */
  readonly prefix?: string;
  /** What the first class has as its label. Default: 0. */
  readonly firstLabel?: number;
  /** Whether rows and columns are exchanged, as in EMNIST. */
  readonly isTransposed?: boolean;
}

/** Whether a folder holds IDX files. */
export function holdsIdx(names: readonly string[]): boolean {
  return names.some((name) => IMAGES.test(name));
}

/** The dataset of a folder. Throws `ConfigError` for what is missing or not sound. */
export async function readIdxFolder(folder: string, options: IdxOptions): Promise<RawDataset> {
  const { prefix = '', testFraction } = options;
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix));
  const read = async (split: SplitName) => readSplit(folder, names, split, options);
  const train = await read('train');
  if (!train) {
    throw new ConfigError(
      `${folder}: expected training images, as train-images-idx3-ubyte or .gz, got ${namesOf(names)}`,
    );
  }
  const [test, validation] = [await read('test'), await read('validation')];
  const classes = options.classes ?? readClasses(folder);
  return assemble(folder, { train, test, validation }, { classes, testFraction });
}

/** Names of classes, a line each, where a file beside the data has them. */
function readClasses(folder: string): string[] | undefined {
  const path = join(folder, 'classes.txt');
  if (!existsSync(path)) return undefined;
  return readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

async function readSplit(
  folder: string,
  names: readonly string[],
  split: SplitName,
  { firstLabel = 0, isTransposed = false }: IdxOptions,
): Promise<SourceSplit | undefined> {
  // Of a plain file and its .gz the plain one is read.
  const imagesName = names.filter((name) => IMAGES.test(name) && SPLIT_NAMES[split].test(name)).sort()[0];
  if (imagesName === undefined) return undefined;
  const [, before, after] = IMAGES.exec(imagesName)!;
  const labelsStem = `${before!}labels${after!}`;
  const labelsName = names.filter((name) => name.startsWith(labelsStem)).sort()[0];
  const imagesFile = join(folder, imagesName);
  if (labelsName === undefined) {
    throw new ConfigError(`${imagesFile}: expected its labels beside it, as ${labelsStem}1-ubyte or .gz, got none`);
  }
  const labelsFile = join(folder, labelsName);
  const [images, labels] = await Promise.all([readIdx(imagesFile), readLabels(labelsFile)]);
  const { shape, isChannelsLast } = shapeOfImages(imagesFile, images.header.shape);
  const ordered = isChannelsLast ? channelsFirst(images.bytes, shape) : images.bytes;
  if (isTransposed) transpose(ordered, shape);
  const values = firstLabel === 0 ? labels : Array.from(labels, (label) => label - firstLabel);
  return { imagesFile, labelsFile, shape, images: ordered, labels: values };
}

/** [N] whole numbers of any type, big-endian. Throws `ConfigError` as {@link readIdx}. */
async function readLabels(path: string): Promise<LabelValues> {
  const { header, bytes } = await parseIdx(path, (head) => readHeader(path, head, 'whole numbers'));
  const { shape, type } = header;
  if (shape.length !== 1) throw new ConfigError(`${path}: expected labels [N], got [${shape.join(', ')}]`);
  if (type === UNSIGNED_BYTE) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (index: number): number =>
    type === 0x0c ? view.getInt32(4 * index) : type === 0x0b ? view.getInt16(2 * index) : view.getInt8(index);
  return Int32Array.from({ length: shape[0]! }, (_, index) => at(index));
}

/** An array of bytes with its dimensions. Rejects with `ConfigError` for a file that is none, or not whole. */
export function readIdx(path: string): Promise<ParsedArray<ArrayHeader>> {
  return parseIdx(path, (bytes) => readHeader(path, bytes, 'bytes'));
}

async function parseIdx(
  path: string,
  readHead: (bytes: Uint8Array) => IdxHeader | undefined,
): Promise<ParsedArray<IdxHeader>> {
  const parser = createArrayParser(path, readHead);
  for await (const piece of readPieces(path)) parser.push(piece);
  return parser.end();
}

function readHeader(path: string, bytes: Uint8Array, elements: 'bytes' | 'whole numbers'): IdxHeader | undefined {
  if (bytes.length < 4) return undefined;
  const [zero, alsoZero, type, numDimensions] = bytes as unknown as [number, number, number, number];
  const itemBytes = elements === 'bytes' && type !== UNSIGNED_BYTE ? undefined : ITEM_BYTES[type];
  if (zero !== 0 || alsoZero !== 0 || itemBytes === undefined || numDimensions < 1 || numDimensions > 4) {
    const magic = Buffer.from(bytes.subarray(0, 4)).toString('hex');
    const expected = elements === 'bytes' ? '0000080N' : '0000080N, 0000090N, 00000b0N or 00000c0N';
    throw new ConfigError(
      `${path}: wrong magic number: expected ${expected}, an IDX file of ${elements} with N dimensions, 1 to 4, got ` +
        `${magic}: name a folder of IDX files`,
    );
  }
  const headerBytes = 4 + 4 * numDimensions;
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const shape = Array.from({ length: numDimensions }, (_, index) => view.getUint32(4 + 4 * index));
  return { headerBytes, shape, itemBytes, type };
}

/** Exchanges rows and columns of every image, in place. */
function transpose(images: Uint8Array, shape: ImageShape): void {
  const [channels, height, width] = shape;
  const imageBytes = imageBytesOf(shape);
  const planeBytes = height * width;
  for (let plane = 0; plane < images.length; plane += planeBytes) {
    for (let row = 0; row < height; row++) {
      for (let column = row + 1; column < width; column++) {
        const [a, b] = [plane + row * width + column, plane + column * width + row];
        [images[a], images[b]] = [images[b]!, images[a]!];
      }
    }
  }
  if (height !== width || imageBytes !== channels * planeBytes) throw new Error('only square images can be transposed');
}

function namesOf(names: readonly string[]): string {
  const some = names.slice(0, 5).map((name) => basename(name));
  return some.length === 0 ? 'nothing' : `${some.join(', ')}${names.length > 5 ? ', ...' : ''}`;
}
