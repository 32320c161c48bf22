import { describe, expect, it } from 'vitest';
import { estimateStepMs } from '../../../scripts/survey/step-estimate.ts';

/** An engine whose calls take so long, and longer the first time at a size; by a clock of its own. */
function engine(callMs: number, sampleMs: number, coldMs = 0) {
  let clockMs = 0;
  const sizes = new Set<number>();
  const compute = (numSamples: number) => {
    clockMs += callMs + sampleMs * numSamples + (sizes.has(numSamples) ? 0 : coldMs);
    sizes.add(numSamples);
    return Promise.resolve();
  };
  return { sizes, estimate: (numSamples: number) => estimateStepMs(compute, numSamples, () => clockMs) };
}

describe('the estimate of a step', () => {
  it('tells the time of a call from that of a sample, and leaves out that of a start', async () => {
    expect(await engine(0, 0.01, 50).estimate(256)).toBeCloseTo(2.56);
    expect(await engine(100, 0.1, 900).estimate(256)).toBeCloseTo(125.6);
  });

  it('of a slow engine comes from 8 samples alone, in proportion', async () => {
    const slow = engine(10, 90);
    expect(await slow.estimate(256)).toBeCloseTo(32 * 730);
    expect([...slow.sizes]).toEqual([8]);
  });

  it('is never less than what a part of the step took', async () => {
    expect(await engine(100, -0.5).estimate(256)).toBeCloseTo(84);
  });
});
