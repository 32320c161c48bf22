import { describe, expect, it } from 'vitest';
import { quantile, summarise, summariseRatios } from '../../../scripts/tables/statistics.ts';

describe('statistics of measurements', () => {
  it('the median is the middle value, or lies between the two in the middle', () => {
    expect(quantile([9, 1, 4], 0.5)).toBe(4);
    expect(quantile([9, 1, 4, 5], 0.5)).toBe(4.5);
    expect(quantile([7], 0.5)).toBe(7);
  });

  it('quartiles and extremes of nine values are the third, the seventh, the first and the last', () => {
    expect(summarise([90, 10, 80, 20, 70, 30, 60, 40, 50])).toEqual({
      median: 50,
      lowerQuartile: 30,
      upperQuartile: 70,
      min: 10,
      max: 90,
    });
  });

  it('values are left in their order', () => {
    const values = [3, 1, 2];
    quantile(values, 0.5);
    expect(values).toEqual([3, 1, 2]);
  });

  it('a slow spell that covers a whole pair leaves the median ratio as it is', () => {
    const pairs = [
      { numerator: 20, denominator: 10 },
      { numerator: 80, denominator: 40 },
      { numerator: 30, denominator: 10 },
    ];
    expect(summariseRatios(pairs)).toMatchObject({ median: 2, min: 2, max: 3 });
  });

  it('no values have no median', () => {
    expect(() => quantile([], 0.5)).toThrow('no values');
  });
});
