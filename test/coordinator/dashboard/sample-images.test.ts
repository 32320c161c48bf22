import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { createSampleImages } from '../../../coordinator/dashboard/sample-images.ts';
import type { ImageShape, Samples } from '../../../protocol/data/dataset.ts';

const PREFIX = 'data:image/png;base64,';

function samplesOf(shape: ImageShape, numSamples: number, valueOf: (index: number) => number): Samples {
  const images = Uint8Array.from({ length: numSamples * shape[0] * shape[1] * shape[2] }, (_, index) => valueOf(index));
  return { images, labels: new Uint8Array(numSamples), numSamples };
}

function decoded(url: string | null) {
  expect(url).toMatch(/^data:image\/png;base64,/);
  const { width, height, channels, data } = decode(Buffer.from(url!.slice(PREFIX.length), 'base64'));
  return { width, height, channels, data: [...data] };
}

describe('the image of a sample', () => {
  test('in grey has its bytes', () => {
    const images = createSampleImages(samplesOf([1, 2, 3], 4, (index) => index), [1, 2, 3]); // prettier-ignore
    expect(decoded(images(2))).toEqual({ width: 3, height: 2, channels: 1, data: [12, 13, 14, 15, 16, 17] });
  });

  test('in colour has red, green and blue of each pixel side by side', () => {
    const images = createSampleImages(samplesOf([3, 1, 2], 2, (index) => index), [3, 1, 2]); // prettier-ignore
    expect(decoded(images(1))).toEqual({ width: 2, height: 1, channels: 3, data: [6, 8, 10, 7, 9, 11] });
  });

  test.each([2, 4])('of %i channels is the first one', (channels) => {
    const shape = [channels, 2, 2] as const;
    const images = createSampleImages(samplesOf(shape, 2, (index) => index), shape); // prettier-ignore
    const first = 4 * channels;
    expect(decoded(images(1))).toEqual({
      width: 2,
      height: 2,
      channels: 1,
      data: [first, first + 1, first + 2, first + 3],
    });
  });

  test('that is large is shrunk to 64 pixels, and each is a mean of what it stands for', () => {
    const shape = [3, 128, 256] as const;
    // The left half is dark in all channels but green.
    const isDark = (index: number) => index % 256 < 128;
    const greenOf = (index: number) => Math.floor(index / (128 * 256)) === 1;
    const images = createSampleImages(samplesOf(shape, 1, (i) => (isDark(i) && !greenOf(i) ? 20 : 220)), shape); // prettier-ignore
    const { width, height, channels, data } = decoded(images(0));
    expect({ width, height, channels }).toEqual({ width: 64, height: 32, channels: 3 });
    expect(data.slice(0, 3)).toEqual([20, 220, 20]);
    expect(data.slice(-3)).toEqual([220, 220, 220]);
    // A chessboard is grey from afar.
    const chess = createSampleImages(samplesOf([1, 128, 128], 1, (i) => ((i + (i >> 7)) % 2) * 200), [1, 128, 128]); // prettier-ignore
    expect(new Set(decoded(chess(0)).data)).toEqual(new Set([100]));
  });

  test('that is long and thin keeps a pixel', () => {
    const images = createSampleImages(samplesOf([1, 1, 1000], 1, () => 9), [1, 1, 1000]); // prettier-ignore
    expect(decoded(images(0))).toEqual({
      width: 64,
      height: 1,
      channels: 1,
      data: Array.from({ length: 64 }, () => 9),
    });
  });

  test('in a file is read from there', () => {
    const shape = [1, 2, 2] as const;
    const stored = { gather: () => {}, range: (first: number) => Uint8Array.of(first, 1, 2, 3) };
    const images = createSampleImages({ stored, labels: new Uint8Array(9), numSamples: 9 }, shape);
    expect(decoded(images(7)).data).toEqual([7, 1, 2, 3]);
  });

  test.each([-1, 4, 1.5, NaN, 2 ** 40])('%d, which is not there, is none', (index) => {
    const images = createSampleImages(samplesOf([1, 2, 3], 4, () => 0), [1, 2, 3]); // prettier-ignore
    expect(images(index)).toBeNull();
  });
});
