import { describe, expect, it } from 'vitest';
import { calibrateHandling } from '../../../scripts/bench/network/calibration.ts';
import { ALGORITHMS, predictStep } from '../../../scripts/network/cost-model.ts';
import { UNLIMITED } from '../../../scripts/network/link.ts';

describe('calibration', () => {
  it.each(ALGORITHMS)('%s: finds the handling by which the model made the times', (algorithm) => {
    const handling = { fixedMs: 0.5, msPerByte: 3e-6 };
    const setting = { algorithm, numWorkers: 4, cores: 2, link: UNLIMITED, buckets: 1, stepsPerEpoch: 10, handling };
    const runs = [1e5, 1e6, 4e6].map((payloadBytes, i) => {
      const computeMs = 1 + i;
      return { payloadBytes, computeMs, stepMs: predictStep({ ...setting, payloadBytes, computeMs }).stepMs };
    });
    const found = calibrateHandling(algorithm, 4, 2, runs);
    expect(found.fixedMs).toBeCloseTo(0.5, 9);
    expect(found.msPerByte).toBeCloseTo(3e-6, 12);
  });

  it('no cost is negative, whatever the noise', () => {
    const run = (payloadBytes: number, stepMs: number) => ({ payloadBytes, stepMs, computeMs: 1 });
    expect(calibrateHandling('star', 1, 1, [run(1e6, 6), run(2e6, 4)])).toEqual({ fixedMs: 4, msPerByte: 0 });
    expect(calibrateHandling('star', 1, 1, [run(1e6, 2), run(2e6, 6)])).toEqual({ fixedMs: 0, msPerByte: 2e-6 });
    expect(calibrateHandling('star', 1, 1, [run(1e6, 0.5), run(2e6, 0.5)])).toEqual({ fixedMs: 0, msPerByte: 0 });
  });

  it('one size of payload tells no more than a fixed cost', () => {
    const runs = [{ payloadBytes: 1e6, stepMs: 5, computeMs: 1 }];
    expect(calibrateHandling('star', 2, 2, runs)).toEqual({ fixedMs: 2, msPerByte: 0 });
  });
});
