/** The addon's element-wise loops against the plain TypeScript that they stand for: bit for bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sumOfSquares } from '../../../../protocol/vectors/clipping.ts';
import { isFiniteVector } from '../../../../protocol/vectors/vector-math.ts';
import { createOptimizer, updateRates } from '../../../../protocol/vectors/optimizer.ts';
import type { OptimizerConfig } from '../../../../protocol/vectors/optimizer.ts';
import { addVectors, divideVector, subtractVectors } from '../../../../protocol/vectors/reduction.ts';
import { createEncoding } from '../../../../protocol/vectors/encoding.ts';
import { gatherRows } from '../../../../protocol/vectors/vector-math.ts';
import { loadNativeAddon, nativeAvailability } from '../../../../worker/engines/native/loader.ts';
import { createNativeVectorMath } from '../../../../worker/engines/native/vector-math.ts';

const availability = nativeAvailability();
const instructionSets = availability.available ? availability.instructionSets : [];

const defaults = { momentum: 0, nesterov: false, weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const RULES: readonly OptimizerConfig[] = [
  { ...defaults, name: 'sgd' },
  { ...defaults, name: 'sgd', weightDecay: 0.01 },
  { ...defaults, name: 'sgd', momentum: 0.9, weightDecay: 0.01 },
  { ...defaults, name: 'sgd', momentum: 0.9, nesterov: true },
  { ...defaults, name: 'adam', weightDecay: 0.01 },
  { ...defaults, name: 'adamw', weightDecay: 0.1 },
];
const CONFIGS = RULES.flatMap((rule): OptimizerConfig[] => [rule, { ...rule, clipNorm: 0.7 }]);

/** The bits of each value, as characters that compare quickly; all NaN are one. */
function bitsOf(...vectors: Float32Array[]): string {
  return vectors.map((vector) => textOf(vector.map((value) => (Number.isNaN(value) ? NaN : value)))).join(';');
}

const textOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1');

/** Lengths around whole registers and lanes. */
const LENGTHS = [0, 1, 3, 15, 16, 17, 31, 32, 33, 4099];
const ordinaryVector = (length: number, seed: number, size: number) =>
  Float32Array.from({ length }, (_, i) => size * Math.sin((i + 1) * seed));

/** Floats of every kind: subnormal, huge, infinite, NaN; lengths around the vectors' of each instruction set. */
const float = fc.float({ noDefaultInfinity: false });
const pairOfVectors = fc
  .integer({ min: 0, max: 67 })
  .chain((length) => fc.tuple(...[0, 1].map(() => fc.array(float, { minLength: length, maxLength: length }))))
  .map((vectors) => vectors.map((values) => Float32Array.from(values)) as [Float32Array, Float32Array]);

describe.each(instructionSets)('element-wise loops with %s', (instructionSet) => {
  const native = createNativeVectorMath(loadNativeAddon(instructionSet));

  it('add as the plain loop does', () => {
    fc.assert(
      fc.property(pairOfVectors, ([left, right]) => {
        const expected = new Float32Array(left.length);
        addVectors(expected, left, right);
        native.addVectors(left, left, right);
        expect(bitsOf(left)).toBe(bitsOf(expected));
      }),
      { seed: 1 },
    );
  });

  it('subtract as the plain loop does', () => {
    fc.assert(
      fc.property(pairOfVectors, ([left, right]) => {
        const expected = new Float32Array(left.length);
        subtractVectors(expected, left, right);
        native.subtractVectors(left, left, right);
        expect(bitsOf(left)).toBe(bitsOf(expected));
      }),
      { seed: 1 },
    );
  });

  it('divide as the plain loop does, and see what is not finite', () => {
    fc.assert(
      fc.property(pairOfVectors, fc.integer({ min: 1, max: 60_000 }), ([sum], divisor) => {
        const expected = new Float32Array(sum.length);
        const isFinite = divideVector(expected, sum, divisor);
        expect(native.divideVector(sum, sum, divisor)).toBe(isFinite);
        expect(bitsOf(sum)).toBe(bitsOf(expected));
      }),
      { seed: 1 },
    );
  });

  const title = '$name, momentum $momentum, decay $weightDecay, clipped to $clipNorm';
  it.each(CONFIGS)(`update as the plain rule does: ${title}`, (config) => {
    const plain = createOptimizer(config);
    const optimizer = native.createOptimizer(config);
    expect(optimizer.numStateVectors).toBe(plain.numStateVectors);
    const check = (parameters: Float32Array, gradient: Float32Array) => {
      const before = bitsOf(gradient);
      const [expected, actual] = [plain, optimizer].map((rule) => {
        const own = parameters.slice();
        const state = Array.from({ length: rule.numStateVectors }, () => new Float32Array(own.length));
        for (let step = 1; step <= 3; step++) rule.apply(own, gradient, state, updateRates(config, 0.05, step));
        return bitsOf(own, ...state);
      });
      expect(actual).toBe(expected);
      expect(bitsOf(gradient)).toBe(before);
    };
    fc.assert(
      fc.property(pairOfVectors, ([parameters, gradient]) => check(parameters, gradient)),
      { seed: 1 },
    );
    // Of ordinary size, which clipping scales by an ordinary number; the last is shorter than 0.7.
    for (const [length, size] of [...LENGTHS.map((length) => [length, 1] as const), [16, 0.1] as const]) {
      check(ordinaryVector(length, 1, 1), ordinaryVector(length, 2, size));
    }
  });

  it('add up squares as the plain loop does', () => {
    const addon = loadNativeAddon(instructionSet);
    fc.assert(
      fc.property(pairOfVectors, ([values]) => Object.is(addon.sumOfSquares(values), sumOfSquares(values))),
      { seed: 1 },
    );
    for (const length of [...LENGTHS, 60_598, 100_003]) {
      const values = ordinaryVector(length, 3, 1);
      expect(addon.sumOfSquares(values)).toBe(sumOfSquares(values));
      // Elsewhere in memory the lanes are the same.
      expect(addon.sumOfSquares(values.subarray(1))).toBe(sumOfSquares(values.subarray(1)));
    }
  });

  it('see what is not finite, wherever it is', () => {
    fc.assert(
      fc.property(pairOfVectors, ([values]) => native.isFiniteVector(values) === isFiniteVector(values)),
      { seed: 1 },
    );
    const finite = [0, -0, 3.4028234663852886e38, -3.4028234663852886e38, 2 ** -149, -(2 ** -149), 2 ** 127];
    for (const length of [0, 1, 2, 15, 16, 17, 67, 1000]) {
      const values = Float32Array.from({ length }, (_, i) => finite[i % finite.length]!);
      expect(native.isFiniteVector(values)).toBe(true);
      for (const poison of [NaN, Infinity, -Infinity]) {
        for (let i = 0; i < length; i++) expect(native.isFiniteVector(values.with(i, poison))).toBe(false);
      }
    }
  });

  it.each(['bf16', 'f16', 'int8'] as const)('encode and decode %s as the plain loops do', (format) => {
    const plain = createEncoding(format);
    const encoding = native.createEncoding(format);
    const check = (values: Float32Array<ArrayBuffer>) => {
      const [expected, actual] = [plain, encoding].map(({ encodedBytes, encode, decode }) => {
        const bytes = new Uint8Array(encodedBytes(values.length)).fill(0xaa);
        encode(bytes, values);
        const decoded = new Float32Array(values.length);
        decode(decoded, bytes);
        // The scale of an int8 block that is not finite is a NaN of any bits.
        return {
          bytes: format === 'int8' && decoded.some(Number.isNaN) ? 'NaN' : textOf(bytes),
          bits: bitsOf(decoded),
        };
      });
      expect(actual).toEqual(expected);
    };
    fc.assert(
      fc.property(pairOfVectors, ([values]) => check(values as Float32Array<ArrayBuffer>)),
      { seed: 1, numRuns: 500 },
    );
    // Every pattern of the upper bits, with lower bits at, above and below a tie; a few blocks with a rest.
    const patterns = Uint32Array.from({ length: 3 * 65_536 + 5 }, (_, i) => ((i & 0xffff) << 16) + 0x7fff + (i >> 16));
    check(new Float32Array(patterns.buffer));
    check(Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i) * 10 ** ((i % 13) - 6)));
  });

  it('refuse bytes of another length or that are not aligned', () => {
    const { encode, decode } = native.createEncoding('bf16');
    const values = new Float32Array(3);
    expect(() => encode(new Uint8Array(7), values)).toThrow('bytes: expected 8 elements, got 7');
    expect(() => decode(values, new Uint8Array(12))).toThrow('bytes: expected 8 elements, got 12');
    expect(() => encode(new Uint8Array(10).subarray(2), values)).toThrow('at a multiple of 4');
  });

  it('gather rows as the plain loop does', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 30 }),
        (rowBytes, rows) => {
          const table = Uint8Array.from({ length: 9 * rowBytes }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
          const [expected, actual] = [gatherRows, native.gatherRows].map((gather) => {
            const gathered = new Uint8Array(31 * rowBytes).fill(7);
            gather(gathered, table, Uint32Array.from(rows), rowBytes);
            return gathered;
          });
          expect(actual).toEqual(expected);
        },
      ),
      { seed: 1 },
    );
  });

  it('refuse rows that are not there, or have no place', () => {
    const table = new Uint8Array(20);
    const gather = (rows: number, ...indices: number[]) =>
      native.gatherRows(new Uint8Array(rows * 3), table, Uint32Array.from(indices), 3);
    expect(() => gather(2, 5, 6)).toThrow("row 6 is not below the table's 6");
    expect(() => gather(1, 0, 1)).toThrow('rows: expected at least 6 elements, got 3');
    expect(() => native.gatherRows(table, table, new Uint32Array(1), 0)).toThrow('rowBytes must be an integer');
    expect(() => native.gatherRows(table, table, new Float32Array(1) as never, 3)).toThrow('not a typed array');
  });

  it('tell whether the C library keeps what is freed', () => {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
    expect(loadNativeAddon(instructionSet).keepFreedMemory()).toBe(header.glibcVersionRuntime !== undefined);
  });

  it('refuse vectors of other lengths and kinds', () => {
    const three = new Float32Array(3);
    expect(() => native.addVectors(three, three, new Float32Array(4))).toThrow('vector: expected 3 elements, got 4');
    expect(() => native.addVectors(three, three, new Float64Array(3) as never)).toThrow(
      'not a typed array of the expected type',
    );
  });
});
