import { describe, expect, test } from 'vitest';
import { dropoutKey, fillDropoutMask } from '../../../protocol/data/dropout.ts';

const maskOf = (key: number, rate: number, firstUnit = 0, numUnits = 2_000): Uint8Array => {
  const mask = new Uint8Array(numUnits).fill(7);
  fillDropoutMask(mask, key, rate, firstUnit);
  return mask;
};
const kept = (mask: Uint8Array): number => mask.reduce((sum, byte) => sum + byte, 0) / mask.length;

describe('a dropout mask', () => {
  test.each([0, 0.1, 0.5, 0.9])('keeps a unit with probability 1 - %f', (rate) => {
    const masks = Array.from({ length: 20 }, (_, sample) => kept(maskOf(dropoutKey(1, 1, sample), rate)));
    // The mean of 40,000 choices: four deviations are at most 0.01.
    expect(Math.abs(masks.reduce((a, b) => a + b, 0) / 20 - (1 - rate))).toBeLessThan(0.01);
  });

  test('is another one for another seed, epoch or sample, and for the next layer', () => {
    const masks = [dropoutKey(1, 1, 1), dropoutKey(2, 1, 1), dropoutKey(1, 2, 1), dropoutKey(1, 1, 2)].map((key) =>
      maskOf(key, 0.5),
    );
    masks.push(maskOf(dropoutKey(1, 1, 1), 0.5, 2_000));
    for (const [i, a] of masks.entries()) {
      for (const b of masks.slice(i + 1)) {
        const equal = a.reduce((sum, byte, u) => sum + Number(byte === b[u]), 0) / a.length;
        expect(Math.abs(equal - 0.5)).toBeLessThan(0.06);
      }
    }
  });

  test('of a part of the units is that part of the whole mask', () => {
    expect(maskOf(5, 0.3, 100, 50)).toEqual(maskOf(5, 0.3, 0, 200).subarray(100, 150));
  });

  test('has the same bits everywhere', () => {
    expect(maskOf(dropoutKey(7, 3, 59_999), 0.5, 0, 32).join('')).toBe('10001110101010111011000010111001');
  });
});
