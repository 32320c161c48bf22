/**
 * Encodings: float32 values in fewer bytes. A run takes one for all its gradients and averages (`--wire`); every replica
 * applies what the encoded average decodes to, so replicas stay equal bit by bit.
 *
 *     f32    as they are
 *     bf16   the upper half of a float32: its range, 8 bits of precision
 *     f16    IEEE 754 half precision: 11 bits of precision, up to 65,504
 *     int8   blocks of {@link BLOCK} values: q in -127..127 and one float32 scale, value = q scale
 *
 * All round to nearest, ties to even. What is not finite stays so (f16 turns what is too large into an infinity, int8 a
 * block with such a value into NaN): an encoding never hides a gradient that must not be applied.
 *
 * These loops are plain TypeScript; a faster twin gives the same bytes, see `vector-math.ts`.
 */
export const WIRE_FORMATS = ['f32', 'bf16', 'f16', 'int8'] as const;
export type WireFormat = (typeof WIRE_FORMATS)[number];
/** The formats that are not the vector's own bytes. */
export type CompactFormat = Exclude<WireFormat, 'f32'>;

/** Number of values that share a scale in int8: the scales of a million values are then about a thousand bytes. */
export const BLOCK = 4096;
/** A block whose largest value is below this is sent as zeros: its scale would lose precision, or its inverse overflow. */
const SMALLEST_SCALED = 2 ** -100;

export interface Encoding {
  /** The length of `numValues` encoded values, a multiple of 4. */
  readonly encodedBytes: (numValues: number) => number;
  /** bytes [encodedBytes(values.length)], 4-byte aligned <- values. */
  readonly encode: (bytes: Uint8Array<ArrayBuffer>, values: Float32Array<ArrayBuffer>) => void;
  /** values <- bytes [encodedBytes(values.length)], 4-byte aligned. */
  readonly decode: (values: Float32Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>) => void;
}

const halves = (bytes: Uint8Array<ArrayBuffer>, count: number) =>
  new Uint16Array(bytes.buffer, bytes.byteOffset, count);
const bitsOf = (values: Float32Array<ArrayBuffer>) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const encodedHalves = (numValues: number): number => 4 * Math.ceil(numValues / 2);

const NAN_BF16 = 0x7fc0;
const NAN_F16 = 0x7e00;
const INFINITY_F16 = 0x7c00;

const bf16: Encoding = {
  encodedBytes: encodedHalves,
  encode(bytes, values) {
    const from = bitsOf(values);
    const to = halves(bytes, encodedHalves(values.length) / 2);
    for (let i = 0; i < from.length; i++) {
      const bits = from[i]!;
      const magnitude = bits & 0x7fffffff;
      const rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
      to[i] = magnitude > 0x7f800000 ? NAN_BF16 : rounded;
    }
    if (from.length % 2 === 1) to[from.length] = 0;
  },
  decode(values, bytes) {
    const from = halves(bytes, values.length);
    const to = bitsOf(values);
    for (let i = 0; i < to.length; i++) to[i] = from[i]! << 16;
  },
};

const scratch = new Float32Array(1);
const scratchBits = bitsOf(scratch);

/**
 * Rounding by the machine's own addition. A normal half has 13 bits less of mantissa: half of the last place, and one
 * more if that place is odd, are added before they are cut off. A subnormal half is a multiple of 2^-24: next to 0.5,
 * whose last place that is, the sum is rounded to one.
 */
const f16: Encoding = {
  encodedBytes: encodedHalves,
  encode(bytes, values) {
    const from = bitsOf(values);
    const to = halves(bytes, encodedHalves(values.length) / 2);
    for (let i = 0; i < from.length; i++) {
      const sign = (from[i]! >>> 16) & 0x8000;
      const magnitude = from[i]! & 0x7fffffff;
      let half: number;
      if (magnitude > 0x7f800000) half = NAN_F16;
      else if (magnitude >= 0x477ff000) half = INFINITY_F16;
      else if (magnitude >= 0x38800000) half = (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
      else {
        scratchBits[0] = magnitude;
        scratch[0] = scratch[0]! + 0.5;
        half = scratchBits[0] - 0x3f000000;
      }
      to[i] = magnitude > 0x7f800000 ? NAN_F16 : sign | half;
    }
    if (from.length % 2 === 1) to[from.length] = 0;
  },
  decode(values, bytes) {
    const from = halves(bytes, values.length);
    const to = bitsOf(values);
    for (let i = 0; i < to.length; i++) {
      const magnitude = from[i]! & 0x7fff;
      const sign = (from[i]! & 0x8000) << 16;
      if (magnitude >= INFINITY_F16) to[i] = sign | 0x7f800000 | (magnitude << 13);
      else if (magnitude >= 0x400) to[i] = sign | ((magnitude << 13) + 0x38000000);
      else {
        scratch[0] = magnitude * 2 ** -24;
        to[i] = sign | scratchBits[0]!;
      }
    }
  },
};

/** [scales of all blocks][q of all values][zeros up to a multiple of 4] */
const int8: Encoding = {
  encodedBytes: (numValues) => 4 * (Math.ceil(numValues / BLOCK) + Math.ceil(numValues / 4)),
  encode(bytes, values) {
    const { scales, quantised } = int8Parts(bytes, values.length);
    const bits = bitsOf(values);
    for (let block = 0; block < scales.length; block++) {
      const end = Math.min((block + 1) * BLOCK, values.length);
      // The bits of magnitudes are in the order of the magnitudes, infinity and NaN the largest.
      let largestBits = 0;
      for (let i = block * BLOCK; i < end; i++) largestBits = Math.max(largestBits, bits[i]! & 0x7fffffff);
      scratchBits[0] = largestBits;
      const largest = scratch[0]!;
      const isFinite = largestBits < 0x7f800000;
      const isZero = isFinite && largest < SMALLEST_SCALED;
      scales[block] = isZero ? 0 : isFinite ? largest / 127 : NaN;
      const inverse = isZero || !isFinite ? 0 : Math.fround(127 / largest);
      for (let i = block * BLOCK; i < end; i++) {
        quantised[i] = isFinite ? roundToEven(Math.fround(values[i]! * inverse)) : 0;
      }
    }
    quantised.fill(0, values.length);
  },
  decode(values, bytes) {
    const { scales, quantised } = int8Parts(bytes, values.length);
    for (let i = 0; i < values.length; i++) values[i] = quantised[i]! * scales[Math.floor(i / BLOCK)]!;
  },
};

function int8Parts(bytes: Uint8Array<ArrayBuffer>, numValues: number) {
  const numBlocks = Math.ceil(numValues / BLOCK);
  return {
    scales: new Float32Array(bytes.buffer, bytes.byteOffset, numBlocks),
    quantised: new Int8Array(bytes.buffer, bytes.byteOffset + 4 * numBlocks, 4 * Math.ceil(numValues / 4)),
  };
}

/** For |x| below 2^22: next to 1.5 x 2^23, the last place of a float32 is 1. */
function roundToEven(x: number): number {
  return Math.fround(x + 12582912) - 12582912;
}

const ENCODINGS = { bf16, f16, int8 } satisfies Record<CompactFormat, Encoding>;

export function createEncoding(format: CompactFormat): Encoding {
  return ENCODINGS[format];
}
