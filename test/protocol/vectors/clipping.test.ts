/** Clipping by norm: what it does to the plain rules, and its sum of squares. */
import { describe, expect, test } from 'vitest';
import { clipScale, sumOfSquares } from '../../../protocol/vectors/clipping.ts';
import { createOptimizer, optimizerConfigSchema, updateRates } from '../../../protocol/vectors/optimizer.ts';
import type { OptimizerConfig } from '../../../protocol/vectors/optimizer.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';

const RULES: OptimizerConfig[] = [
  { ...PLAIN_SGD, weightDecay: 0.3 },
  { ...PLAIN_SGD, momentum: 0.9, nesterov: true, weightDecay: 0.3 },
  { ...PLAIN_SGD, name: 'adam', weightDecay: 0.3 },
  { ...PLAIN_SGD, name: 'adamw', weightDecay: 0.3 },
];

const vectorOf = (length: number, seed: number) => {
  const random = uniformFloats(seed);
  return Float32Array.from({ length }, () => random() - 0.5);
};
const normOf = (values: Float32Array) => Math.hypot(...values);

/** Parameters, then state, after three steps; `gradientAt` gives each step's gradient. */
function takeSteps(config: OptimizerConfig, gradientAt: (step: number) => Float32Array): Float32Array[] {
  const rule = createOptimizer(config);
  const parameters = vectorOf(301, 9);
  const state = Array.from({ length: rule.numStateVectors }, () => new Float32Array(parameters.length));
  for (const step of [1, 2, 3]) rule.apply(parameters, gradientAt(step), state, updateRates(config, 0.05, step));
  return [parameters, ...state];
}

test.each([1.0001, 1.5, 1.9999, 2, 1000])('a norm of %d times the bound is scaled down to the bound', (times) => {
  const clipNorm = 0.7;
  expect(clipScale((times * clipNorm) ** 2, clipNorm) * times).toBeCloseTo(1, 6);
});

test.each([0, 0.5, 0.9999, 1])('a norm of %d times the bound stays as it is', (times) => {
  expect(clipScale(4 * times ** 2, 2)).toBe(1);
});

describe.each(RULES)('clipping with $name, momentum $momentum', (config) => {
  const gradientAt = (step: number) => vectorOf(301, step);

  test('applies the gradient at the norm that it may have, decay aside', () => {
    const clipNorm = 0.7;
    const clipped = takeSteps({ ...config, clipNorm }, gradientAt);
    const expected = takeSteps(config, (step) => {
      const gradient = gradientAt(step);
      expect(normOf(gradient)).toBeGreaterThan(2 * clipNorm);
      return gradient.map((value) => (clipNorm / normOf(gradient)) * value);
    });
    for (const [i, vector] of clipped.entries()) {
      for (const [j, value] of vector.entries()) expect(value).toBeCloseTo(expected[i]![j]!, 6);
    }
    expect(clipped).not.toEqual(takeSteps(config, gradientAt));
  });

  test('changes no bit of what a gradient within the bound does', () => {
    const largest = Math.max(...[1, 2, 3].map((step) => Math.sqrt(sumOfSquares(gradientAt(step)))));
    const expected = takeSteps(config, gradientAt);
    for (const clipNorm of [largest, 2 * largest]) {
      expect(takeSteps({ ...config, clipNorm }, gradientAt)).toEqual(expected);
    }
  });

  test('leaves the gradient as it was', () => {
    const gradient = gradientAt(1);
    takeSteps({ ...config, clipNorm: 0.1 }, () => gradient);
    expect(gradient).toEqual(gradientAt(1));
  });

  test.each([NaN, Infinity, -Infinity])('does not hide %d', (poison) => {
    const poisoned = gradientAt(1).with(5, poison);
    const [parameters] = takeSteps({ ...config, clipNorm: 0.1 }, () => poisoned);
    expect(parameters![5]).toBeNaN();
  });

  test('goes on with vectors of another length', () => {
    const rule = createOptimizer({ ...PLAIN_SGD, clipNorm: 0.5 });
    for (const length of [4, 9, 1, 0]) {
      const parameters = new Float32Array(length);
      rule.apply(parameters, new Float32Array(length).fill(2), [], updateRates(config, 1, 1));
      expect(normOf(parameters)).toBeCloseTo(length === 0 ? 0 : 0.5, 6);
    }
  });
});

describe('the sum of squares', () => {
  test.each([0, 1, 15, 16, 17, 33, 100_003])('of %i values is what it should be', (length) => {
    const values = vectorOf(length, 3);
    const expected = values.reduce((sum, value) => sum + value * value, 0);
    expect(Math.abs(sumOfSquares(values) - expected)).toBeLessThanOrEqual(1e-12 * expected);
  });

  test('adds in 16 lanes, and these in halves', () => {
    // Next to 2^60 a 1 is lost, so what is left tells what was added to what: value 0 is in the lane of value 16.
    const values = (...places: number[]) => {
      const vector = new Float32Array(40);
      vector[0] = 2 ** 30;
      for (const place of places) vector[place] = 2 ** 3;
      return sumOfSquares(vector) - 2 ** 60;
    };
    expect(values(16, 32)).toBe(0);
    expect(values(8)).toBe(0);
    // 64 and 64 meet first, wherever halves are added to halves: 128 is half of the last place, 192 more than that.
    expect(values(9, 1, 17)).toBe(256);
    expect(values(8, 4, 2)).toBe(0);
  });

  test('neither overflows nor vanishes', () => {
    const largest = Math.fround(3.4e38);
    expect(Math.sqrt(sumOfSquares(new Float32Array(100).fill(largest)))).toBeCloseTo(10 * largest, -30);
    expect(Math.sqrt(sumOfSquares(Float32Array.of(2 ** -149)))).toBe(2 ** -149);
  });
});

test('the scale is a float32, and 1 up to the bound', () => {
  expect(clipScale(9, 1)).toBe(Math.fround(1 / 3));
  expect([clipScale(9, 3), clipScale(9, 4), clipScale(0, 1)]).toEqual([1, 1, 1]);
});

test.each([0, -1, NaN, Infinity, '1', null])('a configuration with clipNorm %s is refused', (clipNorm) => {
  expect(optimizerConfigSchema.safeParse({ ...PLAIN_SGD, clipNorm }).success).toBe(false);
  expect(optimizerConfigSchema.safeParse(PLAIN_SGD).data).toEqual(PLAIN_SGD);
  expect(optimizerConfigSchema.parse({ ...PLAIN_SGD, clipNorm: 0.5 })).toHaveProperty('clipNorm', 0.5);
});
