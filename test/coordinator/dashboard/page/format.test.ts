import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDate,
  formatDuration,
  formatMs,
  formatNumber,
  formatPercent,
  thin,
} from '../../../../coordinator/dashboard/page/format.ts';

describe('numbers as the page writes them', () => {
  test('have about four digits', () => {
    expect([0, 0.31274, 1.23456, 12.345, 123.4, 60_000, 0.00004].map(formatNumber)).toEqual([
      '0',
      '0.3127',
      '1.235',
      '12.3',
      '123',
      '60,000',
      '4.0e-5',
    ]);
  });

  test('carry their unit, in steps of a thousand', () => {
    expect([640, 6100, 114_800_000, 2.31e9].map(formatBytes)).toEqual(['640 B', '6.1 kB', '114.8 MB', '2.31 GB']);
    expect([0.421, 35.21, 350, 1204].map(formatMs)).toEqual(['0.42 ms', '35.2 ms', '350 ms', '1.20 s']);
    expect([12, 200, 3900].map(formatDuration)).toEqual(['12 s', '3 min 20 s', '1 h 5 min']);
    expect(formatPercent(0.91273)).toBe('91.27 %');
    expect(formatCount(60_000.4)).toBe('60,000');
  });

  test('are a dash where they are not known', () => {
    for (const format of [formatNumber, formatBytes, formatMs, formatDuration, formatPercent, formatCount]) {
      expect([null, undefined, NaN, Infinity].map((value) => format(value))).toEqual(['–', '–', '–', '–']);
    }
  });

  test('a time that is none is shown as it is', () => {
    expect(formatDate('yesterday')).toBe('yesterday');
    expect(formatDate('2026-11-30T16:02:11Z')).toMatch(/^2026-(11-30|12-01) \d\d:\d\d$/);
  });

  test('lists are thinned evenly, with both ends', () => {
    const items = Array.from({ length: 100 }, (_, i) => i);
    expect(thin(items, 4)).toEqual([0, 33, 66, 99]);
    expect(thin(items, 100)).toBe(items);
  });
});
