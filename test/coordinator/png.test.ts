import fc from 'fast-check';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { crc32 } from '../../coordinator/crc32.ts';
import { encodePng } from '../../coordinator/png.ts';

test('a PNG file decodes to the pixels that it was made of', () => {
  const pixels = fc
    .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }) })
    .chain(({ width, height }) =>
      fc.constantFrom<1 | 3>(1, 3).chain((channels) => {
        const length = width * height * channels;
        const data = fc.uint8Array({ minLength: length, maxLength: length });
        return data.map((bytes) => ({ width, height, channels, data: bytes }));
      }),
    );
  fc.assert(
    fc.property(pixels, (image) => {
      const { width, height, channels, depth, data } = decode(encodePng(image), { checkCrc: true });
      expect({ width, height, channels, depth }).toEqual({
        width: image.width,
        height: image.height,
        channels: image.channels,
        depth: 8,
      });
      expect(Buffer.compare(Buffer.from(data as Uint8Array), image.data)).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test("CRC-32 is the specification's", () => {
  expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
  expect(crc32(Buffer.from('IEND'))).toBe(0xae426082);
});
