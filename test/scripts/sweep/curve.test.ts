import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCurve } from '../../../scripts/sweep/curve.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const curveOf = (text: string) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'epochs.jsonl'), text);
  return readCurve(folder, 'testAccuracy');
};

test('a curve has the epochs whose lines are whole', () => {
  expect(readCurve(temporaryFolder(), 'testAccuracy')).toEqual([]);
  const lines = '{"epoch":1,"testAccuracy":0.5}\n{"epoch":2,"testAccuracy":0.75}\n';
  expect(curveOf(lines)).toEqual([0.5, 0.75]);
  expect(curveOf(`${lines}{"epoch":3,"testAcc`)).toEqual([0.5, 0.75]);
  // Whole as it stands, but more of it may follow.
  expect(curveOf(`${lines}{"epoch":3,"testAccuracy":0.8}`)).toEqual([0.5, 0.75]);
});

test('an epoch that was broken off does not count', () => {
  expect(curveOf('{"epoch":1,"testAccuracy":0.5}\n{"epoch":2,"testAccuracy":null}\n')).toEqual([0.5]);
});

test('lines without the objective are refused', () => {
  expect(() => curveOf('{"epoch":1}\n')).toThrow('expected testAccuracy in each line, got none: set an objective');
});
