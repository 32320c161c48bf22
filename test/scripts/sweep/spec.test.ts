import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSweepSpec, readSweepSpec } from '../../../scripts/sweep/spec.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const grid = { 'learning-rate': [0.01, 0.03] };
const RULE = { afterEpochs: 10, afterRuns: 3, keep: 'median' };
const messageOf = (content: unknown): string => {
  try {
    parseSweepSpec('FILE', content);
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
};

describe('a sweep', () => {
  test('is stopped early by default, and has no flags but those that it names', () => {
    expect(parseSweepSpec('FILE', { grid })).toEqual({
      flags: {},
      grid,
      stopEarly: RULE,
    });
    expect(parseSweepSpec('FILE', { grid, stopEarly: false }).stopEarly).toBe(false);
    expect(parseSweepSpec('FILE', { grid, stopEarly: {} }).stopEarly).toEqual(RULE);
    expect(parseSweepSpec('FILE', { grid, stopEarly: { afterEpochs: 4 } }).stopEarly).toMatchObject({
      afterEpochs: 4,
      afterRuns: 3,
    });
  });

  test.each([
    [{ grid, gird: {} }, 'the file: expected flags, grid or random,', 'got "gird"'],
    [{ grid: { momentum: 0.9 } }, 'grid.momentum: expected a list of values, such as [0.01, 0.03]; got 0.9'],
    [{ grid: { momentum: [] } }, 'grid.momentum: expected one value or more; got []'],
    [{ grid: {} }, 'grid: expected one flag or more; got {}'],
    [{ grid, flags: { epochs: [3] } }, 'flags.epochs: expected a text, a number, true or false; got [3]'],
    [
      { random: { space: {} } },
      'random.trials: expected a whole number from 1; got nothing',
      'random.space: expected one flag',
    ],
    [
      { random: { trials: 3, space: { momentum: { log: [0, 1] } } } },
      'random.space.momentum.log: expected [low, high], above 0 and low below high',
      'got [0,1]',
    ],
    [
      { random: { trials: 3, space: { momentum: { linear: [0.5, 0.5] } } } },
      'momentum.linear: expected [low, high], low below high; got [0.5,0.5]',
    ],
    [
      { random: { trials: 3, space: { momentum: { log: [0.1, 1], linear: [0, 1] } } } },
      'random.space.momentum: expected {"log": [low, high]} above 0, {"linear"',
    ],
    [{ grid, seeds: [1, 1] }, 'seeds: expected each seed once; got [1,1]'],
    [{ grid, parallel: 0 }, 'parallel: expected a whole number from 1; got 0'],
    [{ grid, stopEarly: true }, 'stopEarly: expected false, or {"afterEpochs": 10', 'got true'],
    [{ grid, objective: 'accuracy' }, 'objective: expected "validationAccuracy" or "testAccuracy"; got "accuracy"'],
    [{}, 'expected grid or random, got neither: add one'],
    [
      { grid, random: { trials: 1, space: { momentum: { choice: [0] } } } },
      'expected grid or random, got both: leave one out',
    ],
    [[], 'the file: expected flags, grid or random', 'got []'],
  ])('%j is refused with the place, what was expected and what was found', (content, ...parts) => {
    const message = messageOf(content);
    for (const part of parts) expect(message).toContain(part);
    expect(message).toMatch(/^FILE: /);
  });

  test('of a file that is missing or no JSON is refused by name', () => {
    const path = join(temporaryFolder(), 'sweep.json');
    expect(() => readSweepSpec(path)).toThrow(
      `${path}: cannot be read: there is no such file (ENOENT): check the path`,
    );
    writeFileSync(path, '{');
    expect(() => readSweepSpec(path)).toThrow(`${path}: expected JSON, got something else (`);
  });
});
