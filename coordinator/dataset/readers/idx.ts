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
import type { ReadOptions, SourceSplit } from './reader.ts';

/** Images of IDX files: "train-images-idx3-ubyte.gz", "t10k-images.idx3-ubyte". */
const IMAGES = /^(.*)images([-.]idx)/;
const SPLIT_NAMES = { train: /train/, test: /t10k|test/, validation: /val/ } as const;
type SplitName = keyof typeof SPLIT_NAMES;

/** Elements are bytes: the only type that images and labels have. */
const UNSIGNED_BYTE = 0x08;

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
  const [images, labels] = await Promise.all([readIdx(imagesFile), readIdx(labelsFile)]);
  if (labels.header.shape.length !== 1) {
    throw new ConfigError(`${labelsFile}: expected labels [N], got [${labels.header.shape.join(', ')}]`);
  }
  const { shape, isChannelsLast } = shapeOfImages(imagesFile, images.header.shape);
  const ordered = isChannelsLast ? channelsFirst(images.bytes, shape) : images.bytes;
  if (isTransposed) transpose(ordered, shape);
  const values = firstLabel === 0 ? labels.bytes : Array.from(labels.bytes, (label) => label - firstLabel);
  return { imagesFile, labelsFile, shape, images: ordered, labels: values };
}

/** An array of bytes with its dimensions. Throws `ConfigError` for a file that is none, or not whole. */
export async function readIdx(path: string): Promise<ParsedArray<ArrayHeader>> {
  const parser = createArrayParser(path, (bytes) => readHeader(path, bytes));
  for await (const piece of readPieces(path)) parser.push(piece);
  return parser.end();
}

function readHeader(path: string, bytes: Uint8Array): ArrayHeader | undefined {
  if (bytes.length < 4) return undefined;
  const [zero, alsoZero, type, numDimensions] = bytes as unknown as [number, number, number, number];
  if (zero !== 0 || alsoZero !== 0 || type !== UNSIGNED_BYTE || numDimensions < 1 || numDimensions > 4) {
    const magic = Buffer.from(bytes.subarray(0, 4)).toString('hex');
    throw new ConfigError(
      `${path}: wrong magic number: expected 0000080N, an IDX file of bytes with N dimensions, 1 to 4, got ${magic}: ` +
        'name a folder of IDX files',
    );
  }
  const headerBytes = 4 + 4 * numDimensions;
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const shape = Array.from({ length: numDimensions }, (_, index) => view.getUint32(4 + 4 * index));
  return { headerBytes, shape, itemBytes: 1 };
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
