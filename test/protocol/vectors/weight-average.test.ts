import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { updateAverage } from '../../../protocol/vectors/weight-average.ts';

const f = Math.fround;

/** Values of a parameter along a run. */
const valueAt = (step: number, i = 0): number => f(Math.sin(3 * step + i) + i);

describe('an average', () => {
  test('is average + (1 - d) (values - average), d growing to the decay, at every step', () => {
    const average = Float32Array.of(valueAt(0, 0), valueAt(0, 1));
    const expected = [...average];
    for (let step = 1; step <= 200; step++) {
      const values = Float32Array.of(valueAt(step, 0), valueAt(step, 1));
      updateAverage(average, values, { emaDecay: 0.9 }, step);
      const decay = Math.min(0.9, step / (9 + step));
      for (const i of [0, 1]) expected[i]! += (1 - decay) * (values[i]! - expected[i]!);
      for (const i of [0, 1]) expect(average[i]).toBeCloseTo(expected[i]!, 5);
    }
  });

  test('rounds to float32 after each operation', () => {
    const values = fc.float({ noNaN: true, noDefaultInfinity: true, min: f(-1e6), max: f(1e6) });
    fc.assert(
      fc.property(values, values, fc.double({ min: 0.01, max: 0.999 }), fc.nat(500), (before, value, decay, t) => {
        const average = Float32Array.of(before);
        updateAverage(average, Float32Array.of(value), { emaDecay: decay, emaEvery: 1 }, t + 1);
        const rest = f(1 - Math.min(decay, (1 + t) / (10 + t)));
        expect(average[0]).toBe(f(before + f(rest * f(value - before))));
      }),
      { seed: 1 },
    );
  });

  test('changes at every emaEvery-th step only, and counts those', () => {
    const [sparse, dense] = [Float32Array.of(1), Float32Array.of(1)];
    let numAverages = 0;
    for (let step = 1; step <= 40; step++) {
      const before = sparse[0];
      updateAverage(sparse, Float32Array.of(valueAt(step)), { emaDecay: 0.95, emaEvery: 4 }, step);
      if (step % 4 === 0) {
        updateAverage(dense, Float32Array.of(valueAt(step)), { emaDecay: 0.95 }, ++numAverages);
        expect(sparse[0]).not.toBe(before);
      }
      expect(sparse[0]).toBe(step < 4 ? before : dense[0]);
    }
  });

  test('reads the values and leaves them', () => {
    const values = Float32Array.of(1, 2, 3);
    updateAverage(new Float32Array(3), values, { emaDecay: 0.5, emaEvery: 1 }, 1);
    expect([...values]).toEqual([1, 2, 3]);
  });
});
