/**
 * Centring: what is drawn is cut out, scaled so that its longer side fills five sevenths of the image (20 of 28 pixels), and
 * put where its centre of mass is the image's centre. So MNIST was made: LeCun et al., Gradient-based learning applied to
 * document recognition, 1998.
 */
import { resizePlanes } from '../../coordinator/dataset/readers/resize.ts';
import type { ImageSize } from '../../coordinator/dataset/readers/reader.ts';
import type { RawImage } from './raw-image.ts';

const FILLED = 20 / 28;
/** Darker than this is background: paper and sensors are not quite even. */
const BACKGROUND = 32;

/** [channels, to.height, to.width]. An image with nothing on it stays empty. */
export function centre({ shape, planes }: RawImage, to: ImageSize): Uint8Array<ArrayBuffer> {
  const [channels, height, width] = shape;
  const planeBytes = height * width;
  const result = new Uint8Array(channels * to.height * to.width);
  const box = boxOf(planes, shape);
  if (!box) return result;
  const size = { height: box.bottom - box.top + 1, width: box.right - box.left + 1 };
  const cut = new Uint8Array(channels * size.height * size.width);
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < size.height; row++) {
      const from = channel * planeBytes + (box.top + row) * width + box.left;
      cut.set(planes.subarray(from, from + size.width), (channel * size.height + row) * size.width);
    }
  }
  const scale = (FILLED * Math.min(to.height, to.width)) / Math.max(size.height, size.width);
  const scaled = {
    height: Math.max(1, Math.round(size.height * scale)),
    width: Math.max(1, Math.round(size.width * scale)),
  };
  const drawn = resizePlanes(cut, size, scaled);
  const mass = massOf(drawn, scaled);
  const top = clamp(Math.round(to.height / 2 - mass.row), to.height - scaled.height);
  const left = clamp(Math.round(to.width / 2 - mass.column), to.width - scaled.width);
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < scaled.height; row++) {
      const from = (channel * scaled.height + row) * scaled.width;
      const into = (channel * to.height + top + row) * to.width + left;
      result.set(drawn.subarray(from, from + scaled.width), into);
    }
  }
  return result;
}

const clamp = (value: number, most: number): number => Math.min(Math.max(0, value), most);

/** The smallest rectangle around all that is not background; undefined where there is nothing. */
function boxOf(planes: Uint8Array, [, height, width]: RawImage['shape']) {
  let box: { top: number; bottom: number; left: number; right: number } | undefined;
  for (const [at, pixel] of planes.entries()) {
    if (pixel < BACKGROUND) continue;
    const row = Math.floor(at / width) % height;
    const column = at % width;
    box ??= { top: row, bottom: row, left: column, right: column };
    box.top = Math.min(box.top, row);
    box.bottom = Math.max(box.bottom, row);
    box.left = Math.min(box.left, column);
    box.right = Math.max(box.right, column);
  }
  return box;
}

/** The centre of mass, in pixels from the upper left corner. */
function massOf(planes: Uint8Array, { height, width }: ImageSize) {
  let [sum, rows, columns] = [0, 0, 0];
  for (const [at, pixel] of planes.entries()) {
    sum += pixel;
    rows += pixel * ((Math.floor(at / width) % height) + 0.5);
    columns += pixel * ((at % width) + 0.5);
  }
  return sum === 0 ? { row: height / 2, column: width / 2 } : { row: rows / sum, column: columns / sum };
}
