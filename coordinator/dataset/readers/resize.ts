/**
 * Resizing: every pixel of the result is a weighted mean of the pixels that lie under it, with weights that fall off
 * linearly (bilinear, over a wider support where an image shrinks, so that no pixel is skipped).
 */
import type { ImageSize } from './reader.ts';

/** [channels, from.height, from.width] -> [channels, to.height, to.width], bytes. */
export function resizePlanes(planes: Uint8Array, from: ImageSize, to: ImageSize): Uint8Array<ArrayBuffer> {
  const planeBytes = from.height * from.width;
  const channels = planes.length / planeBytes;
  const resized = new Uint8Array(channels * to.height * to.width);
  const columns = contributions(from.width, to.width);
  const rows = contributions(from.height, to.height);
  const narrow = new Float64Array(from.height * to.width);
  for (let channel = 0; channel < channels; channel++) {
    const plane = planes.subarray(channel * planeBytes, (channel + 1) * planeBytes);
    for (let row = 0; row < from.height; row++) {
      for (const [column, { first, weights }] of columns.entries()) {
        let sum = 0;
        for (const [i, weight] of weights.entries()) sum += weight * plane[row * from.width + first + i]!;
        narrow[row * to.width + column] = sum;
      }
    }
    for (const [row, { first, weights }] of rows.entries()) {
      for (let column = 0; column < to.width; column++) {
        let sum = 0;
        for (const [i, weight] of weights.entries()) sum += weight * narrow[(first + i) * to.width + column]!;
        resized[(channel * to.height + row) * to.width + column] = Math.round(Math.min(255, Math.max(0, sum)));
      }
    }
  }
  return resized;
}

/** For each place of the result: the first of the places under it, and the weight of each from there on. They add up to 1. */
function contributions(from: number, to: number): { readonly first: number; readonly weights: readonly number[] }[] {
  const scale = from / to;
  const support = Math.max(1, scale);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(from, Math.ceil(centre + support - 0.5));
    const weights = Array.from({ length: Math.max(1, end - first) }, (__, i) =>
      Math.max(0, 1 - Math.abs((first + i + 0.5 - centre) / support)),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return sum > 0
      ? { first, weights: weights.map((weight) => weight / sum) }
      : { first: Math.min(from - 1, Math.floor(centre)), weights: [1] };
  });
}
