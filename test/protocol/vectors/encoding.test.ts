/** The plain encodings against their definitions: another way to the same bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK, createEncoding, WIRE_FORMATS } from '../../../protocol/vectors/encoding.ts';
import type { CompactFormat } from '../../../protocol/vectors/encoding.ts';

const FORMATS = WIRE_FORMATS.filter((format) => format !== 'f32');

function encoded(format: CompactFormat, values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const encoding = createEncoding(format);
  const bytes = new Uint8Array(encoding.encodedBytes(values.length)).fill(0xaa);
  encoding.encode(bytes, values);
  return bytes;
}

function roundTrip(format: CompactFormat, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const decoded = new Float32Array(values.length).fill(7);
  createEncoding(format).decode(decoded, encoded(format, values));
  return decoded;
}

const one = (format: CompactFormat, value: number): number => roundTrip(format, Float32Array.of(value))[0]!;

/** Nearest multiple of 2^exponent, ties to even, in exact double arithmetic. */
function nearestMultiple(value: number, exponent: number): number {
  const units = value * 2 ** -exponent;
  const below = Math.floor(units);
  const rest = units - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  return (up ? below + 1 : below) * 2 ** exponent;
}

/** Rounds to a binary format by its definition. */
function rounded(value: number, precision: number, smallestExponent: number, largest: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const magnitude = Math.abs(value);
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), smallestExponent);
  // log2 rounds: of the two exponents that it can mean, the one that holds the value.
  const exact = magnitude >= 2 ** (exponent + 1) ? exponent + 1 : exponent;
  const result = nearestMultiple(magnitude, exact - precision + 1);
  return Math.sign(value) * (result > largest ? Infinity : result);
}

const BINARY = [
  { format: 'bf16', round: (value: number) => rounded(value, 8, -126, 2 ** 128 * (1 - 2 ** -8)) },
  { format: 'f16', round: (value: number) => rounded(value, 11, -14, 65_504) },
] as const;

describe.each(BINARY)('$format', ({ format, round }) => {
  test('rounds any float32 to its nearest value, ties to even', () => {
    const anyBits = fc
      .integer({ min: 0, max: 0xffffffff })
      .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0]!);
    const nearHalf = fc.float({ min: -70_000, max: 70_000, noNaN: true });
    const tiny = fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4), noNaN: true });
    fc.assert(
      fc.property(fc.oneof(anyBits, nearHalf, tiny), (value) => {
        expect(one(format, value)).toBe(round(value));
      }),
      { seed: 1, numRuns: 20_000 },
    );
  });

  test('keeps every value of its own, and the sign of zero', () => {
    const all = new Uint16Array(65_536).map((_, i) => i);
    const values = new Float32Array(all.length);
    createEncoding(format).decode(values, new Uint8Array(all.buffer));
    const again = new Uint16Array(encoded(format, values).buffer);
    for (let i = 0; i < all.length; i++) if (!Number.isNaN(values[i])) expect(again[i]).toBe(i);
    expect(one(format, -0)).toBe(-0);
  });
});

describe('int8', () => {
  test('is off by at most half a step of its block: the largest magnitude / 127', () => {
    const values = fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(values, (list) => {
        const exact = Float32Array.from(list);
        const step = Math.max(...list.map(Math.abs)) / 127;
        roundTrip('int8', exact).forEach((value, i) => {
          expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(step * 0.5001 + 2 ** -100);
        });
      }),
      { seed: 2, numRuns: 2000 },
    );
  });

  test('gives every block a scale of its own', () => {
    const values = new Float32Array(2 * BLOCK + 5).fill(1e-6);
    values[0] = 1000;
    const decoded = roundTrip('int8', values);
    expect(decoded[1]).toBe(0);
    expect(decoded[BLOCK]).toBeCloseTo(1e-6, 12);
    expect(decoded.at(-1)).toBeCloseTo(1e-6, 12);
  });

  test('makes NaN of a block with a value that is not finite, and of no other', () => {
    for (const poison of [NaN, Infinity, -Infinity]) {
      const values = new Float32Array(2 * BLOCK).fill(1);
      values[BLOCK + 3] = poison;
      const decoded = roundTrip('int8', values);
      expect(decoded.subarray(0, BLOCK).every((value) => Math.abs(value - 1) < 1e-6)).toBe(true);
      expect(decoded.subarray(BLOCK).every(Number.isNaN)).toBe(true);
    }
  });

  test('sends what is too small for a scale as zeros', () => {
    expect([...roundTrip('int8', Float32Array.of(1e-38, -1e-40, 0))]).toEqual([0, 0, 0]);
  });
});

describe.each(FORMATS)('%s', (format) => {
  test('never hides a value that is not finite', () => {
    for (const poison of [NaN, Infinity, -Infinity]) {
      expect(Number.isFinite(roundTrip(format, Float32Array.of(1, poison, 2))[1])).toBe(false);
    }
  });

  test('takes vectors of any length, and leaves no byte unwritten', () => {
    for (const length of [0, 1, 2, 3, 5, BLOCK - 1, BLOCK, BLOCK + 1]) {
      const values = Float32Array.from({ length }, (_, i) => i - 3);
      const bytes = encoded(format, values);
      expect(bytes.length % 4).toBe(0);
      expect(encoded(format, values)).toEqual(bytes);
      const padding = bytes.subarray(bytes.length - (bytes.length % 4));
      expect([...padding].every((byte) => byte === 0)).toBe(true);
    }
  });
});
