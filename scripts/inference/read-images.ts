/** Images for a model, from files of any kind that people have: PNG, JPEG, .npy and IDX, brought to what the model takes. */
import { readFileSync } from 'node:fs';
import { channelsFirst, shapeOfImages } from '../../coordinator/dataset/readers/channels.ts';
import { createArrayParser } from '../../coordinator/dataset/readers/array-parser.ts';
import { readPieces } from '../../coordinator/dataset/readers/byte-stream.ts';
import { decodeImage } from '../../coordinator/dataset/readers/decode-image.ts';
import { readIdx } from '../../coordinator/dataset/readers/idx.ts';
import { readNpyHeader } from '../../coordinator/dataset/readers/npz.ts';
import { resizePlanes } from '../../coordinator/dataset/readers/resize.ts';
import { imageBytesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape } from '../../protocol/data/dataset.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError, isSystemError } from '../../protocol/system-errors.ts';
import { centre } from './centre.ts';
import type { RawImage } from './raw-image.ts';

export interface ImageChanges {
  /** Whether black becomes white: for drawings on paper, where a model was trained on light strokes on black. */
  readonly isInverted: boolean;
  /** Whether an image of another size is brought to the model's. */
  readonly isResized: boolean;
  /** Whether what is drawn is cut out, fitted into the image and centred, as in MNIST. */
  readonly isCentred: boolean;
}

export interface ModelImage {
  /** The file, with a number where it holds several. */
  readonly name: string;
  /** [channels, height, width], as the model takes it. */
  readonly planes: Uint8Array<ArrayBuffer>;
  /** What was done to it, in words. */
  readonly changes: readonly string[];
}

/** The images of a file. Throws `ConfigError` for what is none, or of a size that the model does not take. */
export async function readImages(path: string, shape: ImageShape, changes: ImageChanges): Promise<ModelImage[]> {
  const raw = await readRaw(path);
  return raw.map((image, index) => ({
    ...fit(path, image, shape, changes),
    name: raw.length === 1 ? path : `${path} ${index}`,
  }));
}

async function readRaw(path: string): Promise<RawImage[]> {
  if (path.endsWith('.npy')) {
    const parser = createArrayParser(path, (bytes) => readNpyHeader(path, bytes));
    for await (const piece of readPieces(path)) parser.push(piece);
    const { header, bytes } = parser.end();
    if (header.descr !== '|u1') {
      throw new ConfigError(
        `${path}: expected bytes (uint8), 0 to 255, got ${header.descr}: save images.astype('uint8')`,
      );
    }
    // A single image has no N.
    const dimensions = header.shape.length === 2 ? [1, ...header.shape] : header.shape;
    return split(path, dimensions, bytes);
  }
  if (/idx/.test(path)) {
    const { header, bytes } = await readIdx(path);
    return split(path, header.shape, bytes);
  }
  try {
    const { channels, height, width, planes } = decodeImage(path, readFileSync(path));
    return [{ shape: [channels, height, width], planes }];
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
}

function split(path: string, dimensions: readonly number[], bytes: Uint8Array<ArrayBuffer>): RawImage[] {
  const { shape, isChannelsLast } = shapeOfImages(path, dimensions);
  const planes = isChannelsLast ? channelsFirst(bytes, shape) : bytes;
  const imageBytes = imageBytesOf(shape);
  return Array.from({ length: dimensions[0]! }, (_, index) => ({
    shape,
    planes: planes.subarray(index * imageBytes, (index + 1) * imageBytes),
  }));
}

/** One image as the model takes it, and what was done to it. */
export function fit(
  path: string,
  image: RawImage,
  [channels, height, width]: ImageShape,
  { isInverted, isResized, isCentred }: ImageChanges,
): Omit<ModelImage, 'name'> {
  const changes: string[] = [];
  let { planes } = image;
  let [ownChannels, ownHeight, ownWidth] = image.shape;
  if (ownChannels !== channels && channels !== 1 && channels !== 3) {
    throw new ConfigError(`${path}: expected ${channels} channels, which the model takes, got ${ownChannels}`);
  }
  if (ownChannels !== channels) {
    const converted = toChannels(planes, { ownChannels, channels, planeBytes: ownHeight * ownWidth });
    planes = converted.planes;
    changes.push(converted.change);
    ownChannels = channels;
  }
  if (isInverted) {
    planes = planes.map((pixel) => 255 - pixel);
    changes.push('inverted');
  }
  if (isCentred) {
    planes = centre({ shape: [ownChannels, ownHeight, ownWidth], planes }, { height, width });
    changes.push('centred');
    [ownHeight, ownWidth] = [height, width];
  }
  if (ownHeight !== height || ownWidth !== width) {
    if (!isResized) {
      throw new ConfigError(
        `${path}: expected an image of ${height}x${width} pixels (height x width), which the model takes, got ` +
          `${ownHeight}x${ownWidth}: give --resize, or --center for a drawing`,
      );
    }
    planes = resizePlanes(planes, { height: ownHeight, width: ownWidth }, { height, width });
    changes.push(`resized from ${ownHeight}x${ownWidth} to ${height}x${width}`);
  }
  return { planes, changes };
}

interface ChannelChange {
  readonly ownChannels: number;
  /** 1: grey; 3: red, green, blue. Second and fourth channels of files are transparency, which is dropped. */
  readonly channels: number;
  readonly planeBytes: number;
}

function toChannels(planes: Uint8Array<ArrayBuffer>, { ownChannels, channels, planeBytes }: ChannelChange) {
  if (ownChannels > 2 && channels === 3) {
    return { planes: planes.subarray(0, 3 * planeBytes), change: 'without transparency' };
  }
  if (ownChannels > 2) return { planes: toGrey(planes, planeBytes), change: 'made grey' };
  const grey = planes.subarray(0, planeBytes);
  if (channels === 1) return { planes: grey, change: 'without transparency' };
  const repeated = new Uint8Array(Buffer.concat([grey, grey, grey]));
  return { planes: repeated, change: 'grey, repeated in 3 channels' };
}

/** As people see brightness: ITU-R recommendation BT.601. */
function toGrey(planes: Uint8Array, planeBytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: planeBytes }, (_, i) =>
    Math.round(0.299 * planes[i]! + 0.587 * planes[planeBytes + i]! + 0.114 * planes[2 * planeBytes + i]!),
  );
}
