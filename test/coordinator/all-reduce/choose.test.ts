import { describe, expect, test } from 'vitest';
import { areLocal, chooseAllReduce } from '../../../coordinator/all-reduce/choose.ts';

describe('the choice of an all-reduce', () => {
  const apart = { numWorkers: 2, payloadBytes: 200_000, areLocal: false, roundTripMs: 1 };

  test('is the ring for workers on several machines, where a payload takes longer than a round trip', () => {
    expect(chooseAllReduce(apart)).toMatchObject({
      kind: 'ring',
      why: 'a gradient takes 1.6 ms on a gigabit link, a round trip 1.0 ms',
    });
    expect(chooseAllReduce({ ...apart, numWorkers: 8 })).toMatchObject({ kind: 'ring' });
    expect(chooseAllReduce({ ...apart, roundTripMs: 20, payloadBytes: 3_800_000 })).toMatchObject({ kind: 'ring' });
    expect(chooseAllReduce({ numWorkers: 2, payloadBytes: 200_000, areLocal: false })).toMatchObject({ kind: 'ring' });
  });

  test.each([{ numWorkers: 1 }, { payloadBytes: 199_999 }, { areLocal: true }, { roundTripMs: 2 }])(
    'is the star for %o',
    (change) => {
      expect(chooseAllReduce({ ...apart, ...change })).toMatchObject({ kind: 'star' });
    },
  );
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
