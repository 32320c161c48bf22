/** Images of what a run evaluates, for pages: small PNGs as data URLs. */
import { imagesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, Samples } from '../../protocol/data/dataset.ts';
import { channelsLast } from '../dataset/readers/channels.ts';
import { encodePng } from '../png.ts';

/** Pixels of the longer side that a page is sent at most. */
const LONGEST_SIDE = 64;

/** The image of a sample, by its index in `samples`; null where there is no such sample. */
export type SampleImages = (index: number) => string | null;

/**
 * Grey images and those with red, green and blue are drawn as they are, of any others the first channel. Images with a side
 * of more than 64 pixels are shrunk until they have none.
 *
 * - `samples`: images of `shape`, in memory or in their file, which is read when an image is asked for
 */
export function createSampleImages(samples: Samples, shape: ImageShape): SampleImages {
  const [numStored, height, width] = shape;
  const channels = numStored === 3 ? 3 : 1;
  const size = sizeOnPage({ height, width });
  return (index) => {
    if (!Number.isInteger(index) || index < 0 || index >= samples.numSamples) return null;
    const planes = imagesOf(samples, index, 1).subarray(0, channels * height * width);
    const small = shrink(planes, { height, width }, size);
    const data = channelsLast(small, [channels, size.height, size.width]);
    return `data:image/png;base64,${Buffer.from(encodePng({ ...size, channels, data })).toString('base64')}`;
  };
}

interface Size {
  readonly height: number;
  readonly width: number;
}

function sizeOnPage({ height, width }: Size): Size {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(height, width));
  const side = (pixels: number) => Math.max(1, Math.round(scale * pixels));
  return { height: side(height), width: side(width) };
}

/**
 * [channels, from.height, from.width] -> [channels, to.height, to.width], bytes. A pixel is the mean of a rectangle, and each
 * pixel before is in one of these. Plainer and faster than the resizing of training images: a page asks for many at once.
 */
function shrink(planes: Uint8Array<ArrayBuffer>, from: Size, to: Size): Uint8Array<ArrayBuffer> {
  if (from.height === to.height && from.width === to.width) return planes;
  const planeBytes = from.height * from.width;
  const small = new Uint8Array((planes.length / planeBytes) * to.height * to.width);
  const rows = edges(from.height, to.height);
  const columns = edges(from.width, to.width);
  let at = 0;
  for (let plane = 0; plane < planes.length; plane += planeBytes) {
    for (let y = 0; y < to.height; y++) {
      for (let x = 0; x < to.width; x++) {
        let sum = 0;
        for (let row = rows[y]!; row < rows[y + 1]!; row++) {
          const start = plane + row * from.width;
          for (let i = start + columns[x]!; i < start + columns[x + 1]!; i++) sum += planes[i]!;
        }
        small[at++] = Math.round(sum / ((rows[y + 1]! - rows[y]!) * (columns[x + 1]! - columns[x]!)));
      }
    }
  }
  return small;
}

/** Where each of `to` parts of a side begins, and where the last one ends. None is empty where `to` is not longer. */
const edges = (from: number, to: number): Uint32Array =>
  Uint32Array.from({ length: to + 1 }, (_, i) => Math.floor((i * from) / to));
