import { describe, expect, test } from 'vitest';
import { areLocal, chooseAllReduce } from '../../coordinator/all-reduce/choose.ts';

describe('the choice of an all-reduce', () => {
  const apart = { numWorkers: 3, payloadBytes: 1_000_000, areLocal: false };

  test('is the ring for three workers or more on several machines, from a megabyte on', () => {
    expect(chooseAllReduce(apart)).toBe('ring');
    expect(chooseAllReduce({ ...apart, numWorkers: 8 })).toBe('ring');
  });

  test.each([{ numWorkers: 2 }, { payloadBytes: 999_999 }, { areLocal: true }])('is the star for %o', (change) => {
    expect(chooseAllReduce({ ...apart, ...change })).toBe('star');
  });
});

describe('workers are local', () => {
  const at = (...peers: string[]) => peers.map((peer) => ({ transport: { peer } as never }));

  test.each([
    ['all on loopback', true, at('127.0.0.1:40000', '::1:40001', '::ffff:127.0.0.1:40002')],
    ['one in this process', true, at('this process', '10.0.0.1:40000')],
    ['one on another machine', false, at('127.0.0.1:40000', '10.0.0.1:40000')],
    ['one on another machine, by IPv6', false, at('127.0.0.1:40000', 'fd00::1:40000')],
  ])('%s: %s', (_what, expected, members) => {
    expect(areLocal(members)).toBe(expected);
  });
});
