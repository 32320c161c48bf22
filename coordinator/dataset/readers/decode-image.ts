/** One image file, PNG or JPEG, as planes of bytes: grey, or red, green and blue. Transparency is dropped. */
import { convertIndexedToRgb, decode as decodePng } from 'fast-png';
import type { DecodedPng } from 'fast-png';
import { decode as decodeJpeg } from 'jpeg-js';
import { countOf } from '../../../protocol/counts.ts';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { channelsFirst } from './channels.ts';
import type { ImageSize } from './reader.ts';
import { resizePlanes } from './resize.ts';

export interface DecodedImage {
  /** 1: grey; 3: red, green, blue. */
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  /** [channels, height, width] */
  readonly planes: Uint8Array<ArrayBuffer>;
}

/** Of one image; a photograph of a large camera has some 60 million. */
const MAX_PIXELS = 100_000_000;
/** Compressed pixels are no larger than this beyond twice the pixels themselves: what is larger was made to fill memory. */
const SLACK_BYTES = 65_536;

const PNG_SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/** Throws `ConfigError`, which begins with `path`, for what is no image or a damaged one. */
export function decodeImage(path: string, bytes: Buffer, resize?: ImageSize): DecodedImage {
  let image: DecodedImage;
  try {
    const isPng = bytes.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE);
    image = isPng ? fromPng(bytes) : fromJpeg(bytes);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be decoded: ${describeError(error)}: write it anew, or remove it`);
  }
  if (!resize || (resize.height === image.height && resize.width === image.width)) return image;
  const planes = resizePlanes(image.planes, image, resize);
  return { channels: image.channels, ...resize, planes };
}

function fromPng(bytes: Buffer): DecodedImage {
  checkPngSize(bytes);
  const png = decodePng(bytes, { checkCrc: true });
  const { width, height } = png;
  if (png.palette) {
    const channels = png.palette[0]?.length ?? 3;
    return toPlanes(convertIndexedToRgb(png), channels, { height, width });
  }
  return toPlanes(toBytes(png), png.channels, { height, width });
}

/** Throws for an image that would unpack to more than its own pixels. */
function checkPngSize(bytes: Buffer): void {
  if (bytes.length < 33) throw new Error(`${countOf(bytes.length, 'byte')} are too few for a PNG`);
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  checkPixels(width, height);
  let packedBytes = 0;
  for (let at = 8; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT') packedBytes += length;
    at += 12 + length;
  }
  // Four channels of 16 bits at most.
  const most = 2 * 8 * width * height + SLACK_BYTES;
  if (packedBytes > most)
    throw new Error(`${countOf(packedBytes, 'byte')} of pixels for ${width}x${height}, expected at most ${most}`);
}

function checkPixels(width: number, height: number): void {
  if (width * height > 0 && width * height <= MAX_PIXELS) return;
  throw new Error(`${width}x${height} pixels, expected 1 to ${MAX_PIXELS}`);
}

/** Samples of any depth as bytes: of 16 bits the upper half, of fewer than 8 spread over 0 to 255. */
function toBytes({ data, depth, width, height, channels }: DecodedPng): Uint8Array {
  if (depth === 8) return Uint8Array.from(data);
  if (depth === 16) return Uint8Array.from(data, (value) => value >> 8);
  const perRow = width * channels;
  const rowBytes = Math.ceil((perRow * depth) / 8);
  // Some decoders unpack them already, and leave the values as they are.
  const isPacked = data.length === rowBytes * height;
  const largest = 2 ** depth - 1;
  return Uint8Array.from({ length: perRow * height }, (_, index) => {
    const [row, column] = [Math.floor(index / perRow), index % perRow];
    const bit = column * depth;
    const value = isPacked ? (data[row * rowBytes + (bit >> 3)]! >> (8 - depth - (bit & 7))) & largest : data[index]!;
    return Math.round((value * 255) / largest);
  });
}

function fromJpeg(bytes: Buffer): DecodedImage {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) throw new Error('it is neither a PNG nor a JPEG file');
  const options = { useTArray: true, formatAsRGBA: false, tolerantDecoding: false } as const;
  const { width, height, data } = decodeJpeg(bytes, { ...options, maxResolutionInMP: 100, maxMemoryUsageInMB: 2048 });
  checkPixels(width, height);
  const image = toPlanes(data, 3, { height, width });
  return isGrey(image.planes, width * height)
    ? { ...image, channels: 1, planes: image.planes.slice(0, width * height) }
    : image;
}

/** A grey JPEG comes with three equal channels. */
function isGrey(planes: Uint8Array, planeBytes: number): boolean {
  const [red, green, blue] = [0, 1, 2].map((plane) => planes.subarray(plane * planeBytes, (plane + 1) * planeBytes));
  return Buffer.compare(red!, green!) === 0 && Buffer.compare(red!, blue!) === 0;
}

/** `pixels`: [height, width, channels], 1 to 4: grey or colour, with or without transparency. */
function toPlanes(pixels: ArrayLike<number>, channels: number, { height, width }: ImageSize): DecodedImage {
  const kept = channels < 3 ? 1 : 3;
  const opaque = new Uint8Array(height * width * kept);
  for (let from = 0, to = 0; to < opaque.length; from += channels, to += kept) {
    for (let channel = 0; channel < kept; channel++) opaque[to + channel] = pixels[from + channel]!;
  }
  return { channels: kept, height, width, planes: channelsFirst(opaque, [kept, height, width]) };
}
