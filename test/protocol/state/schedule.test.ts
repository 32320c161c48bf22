import { describe, expect, test } from 'vitest';
import { learningRateAt } from '../../../protocol/state/schedule.ts';
import type { ScheduleConfig } from '../../../protocol/state/schedule.ts';

describe('a schedule', () => {
  const base: ScheduleConfig = {
    name: 'constant',
    learningRate: 0.4,
    warmupSteps: 0,
    decayEpochs: 2,
    decayFactor: 0.5,
  };
  const at = (config: ScheduleConfig, step: number) => {
    return learningRateAt(config, { step, epoch: Math.ceil(step / 10), totalSteps: 100 });
  };

  test('constant stays', () => {
    expect([1, 50, 100].map((step) => at(base, step))).toEqual([0.4, 0.4, 0.4]);
  });

  test('warm-up climbs in a straight line and ends at the rate', () => {
    expect([1, 2, 4, 5].map((step) => at({ ...base, warmupSteps: 4 }, step))).toEqual([0.1, 0.2, 0.4, 0.4]);
  });

  test('step decays after every decayEpochs epochs', () => {
    expect([1, 20, 21, 41].map((step) => at({ ...base, name: 'step' }, step))).toEqual([0.4, 0.4, 0.2, 0.1]);
  });

  test('cosine begins at the rate, is half of it half-way, and ends near zero', () => {
    const cosine: ScheduleConfig = { ...base, name: 'cosine' };
    expect(at(cosine, 1)).toBe(0.4);
    expect(at(cosine, 51)).toBeCloseTo(0.2, 12);
    expect(at(cosine, 100)).toBeLessThan(0.001);
    expect([20, 21].map((step) => at({ ...cosine, warmupSteps: 20 }, step))).toEqual([0.4, 0.4]);
  });

  test('cosine with a final factor begins at the rate and ends near that part of it', () => {
    const cosine: ScheduleConfig = { ...base, name: 'cosine', finalFactor: 0.25 };
    expect(at(cosine, 1)).toBe(0.4);
    expect(at(cosine, 51)).toBeCloseTo(0.1 + 0.3 / 2, 12);
    expect(at(cosine, 100)).toBeCloseTo(0.1, 3);
    expect(at({ ...cosine, finalFactor: 0 }, 30)).toBe(at({ ...base, name: 'cosine' }, 30));
  });
});
