/** The order of an image's channels: files have them first, last or not at all; here they come first. */
import type { ImageShape } from '../../../protocol/data/dataset.ts';
import { imageBytesOf } from '../../../protocol/data/dataset.ts';
import { ConfigError } from '../../../protocol/errors.ts';

/** Grey, grey with transparency, colour, colour with transparency. */
const MAX_CHANNELS = 4;

/** What an array of images, [N, H, W], [N, C, H, W] or [N, H, W, C], holds. Throws `ConfigError` for other shapes. */
export function shapeOfImages(
  file: string,
  shape: readonly number[],
): { readonly shape: ImageShape; readonly isChannelsLast: boolean } {
  const [, first = 0, second = 0, third = 0] = shape;
  const isSound = shape.slice(1).every((size) => size > 0);
  if (isSound && shape.length === 3) return { shape: [1, first, second], isChannelsLast: false };
  if (isSound && shape.length === 4) {
    if (third <= MAX_CHANNELS) return { shape: [third, first, second], isChannelsLast: true };
    if (first <= MAX_CHANNELS) return { shape: [first, second, third], isChannelsLast: false };
  }
  throw new ConfigError(
    `${file}: expected images [N, height, width], [N, height, width, channels] or [N, channels, height, width] with at most ` +
      `${MAX_CHANNELS} channels, got [${shape.join(', ')}]`,
  );
}

/** [N, H, W, C] -> [N, C, H, W]. `shape`: [C, H, W]. One channel needs no change. */
export function channelsFirst(pixels: Uint8Array<ArrayBuffer>, shape: ImageShape): Uint8Array<ArrayBuffer> {
  const [channels, height, width] = shape;
  if (channels === 1) return pixels;
  const imageBytes = imageBytesOf(shape);
  const planeBytes = height * width;
  const planes = new Uint8Array(pixels.length);
  for (let image = 0; image < pixels.length; image += imageBytes) {
    for (let channel = 0; channel < channels; channel++) {
      const plane = image + channel * planeBytes;
      for (let i = 0, from = image + channel; i < planeBytes; i++, from += channels) planes[plane + i] = pixels[from]!;
    }
  }
  return planes;
}

/** One image, [C, H, W] -> [H, W, C], as image files have it. One channel needs no change. */
export function channelsLast(planes: Uint8Array<ArrayBuffer>, shape: ImageShape): Uint8Array<ArrayBuffer> {
  const [channels, height, width] = shape;
  if (channels === 1) return planes;
  const planeBytes = height * width;
  const pixels = new Uint8Array(planes.length);
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * planeBytes;
    for (let i = 0, to = channel; i < planeBytes; i++, to += channels) pixels[to] = planes[plane + i]!;
  }
  return pixels;
}
