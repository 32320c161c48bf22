import { expect, test } from 'vitest';
import { parseHosts } from '../../../scripts/launch/hosts.ts';
import { firstSlots, numSlots } from '../../../scripts/scale/hosts.ts';

test('workers fill the slots of one host after the other', () => {
  const hosts = parseHosts('a:2,b,c:4', '--hosts');
  expect(numSlots(hosts)).toBe(7);
  const taken = (numWorkers: number) =>
    firstSlots(hosts, numWorkers).map(({ destination, slots }) => [destination, slots]);
  expect(taken(1)).toEqual([['a', 1]]);
  expect(taken(3)).toEqual([
    ['a', 2],
    ['b', 1],
  ]);
  expect(taken(5)).toEqual([
    ['a', 2],
    ['b', 1],
    ['c', 2],
  ]);
});
