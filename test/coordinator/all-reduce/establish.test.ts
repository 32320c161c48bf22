import { describe, expect, test } from 'vitest';
import { longestRoundTrip } from '../../../coordinator/all-reduce/establish.ts';
import { startAllReduce } from '../../helpers/all-reduce-cluster.ts';
import type { Tampering } from '../../helpers/all-reduce-cluster.ts';

/** Two workers on this machine, for which the rule chooses the star. */
const start = (tampering: Tampering, allReduce: 'auto' | 'star' | 'ring' = 'auto') =>
  startAllReduce({ workers: 2, allReduce }, 64, tampering);

const OTHER_BITS = 'all-reduce: the run began with a ring: it may end with other bits than it would have in one';

/** Workers that cannot listen. */
const apart: Tampering = { peers: () => undefined };
const cannotListen = expect.stringMatching(/^all-reduce: star, because worker-[01] cannot listen for other workers/);

describe('the all-reduce of a run that begins', () => {
  test('is what the rule chooses, or what was asked for', async () => {
    expect(await start({})).toMatchObject({
      kind: 'star',
      said: ['all-reduce: star, because all workers are on this machine'],
    });
    expect(await start({}, 'star')).toMatchObject({ kind: 'star', said: [] });
    expect(await start({}, 'ring')).toMatchObject({ kind: 'ring', said: ['all-reduce: ring of 2 workers'] });
  });

  test('is the star where a ring cannot be', async () => {
    expect(await start({ ringObstacle: 'it is encrypted' }, 'ring')).toMatchObject({ kind: 'star' });
    expect(await start(apart, 'ring')).toMatchObject({ kind: 'star', said: [cannotListen] });
  });

  test('is a ring also for one worker, for which the star stands in until there are two', async () => {
    expect(await startAllReduce({ workers: 1, allReduce: 'ring' }, 64)).toMatchObject({ kind: 'ring' });
  });
});

describe('the round trip that the rule goes by', () => {
  const member = (...tripsMs: (number | undefined)[]) => {
    const trips = [...tripsMs];
    return { transport: { measureRoundTrip: () => Promise.resolve(trips.shift()) } as never };
  };

  test('is the least of several to each member, and of the members the longest', async () => {
    const members = [member(300, 2, 4, 9, 9, 9, 9, 250), member(1, 1, 700, 1, 1, 1, 1, 1)];
    expect(await longestRoundTrip(members)).toBe(2);
  });

  test('is long where a member does not answer: that is no link for a ring', async () => {
    expect(await longestRoundTrip([member(2, 1, undefined), member(undefined)])).toBe(1000);
  });
});

describe('the all-reduce of a run that is resumed', () => {
  test('is the one that it began with, whatever the rule would choose now', async () => {
    const said = ['all-reduce: ring of 2 workers'];
    expect(await start({ begunWith: 'ring' })).toMatchObject({ kind: 'ring', said });
    expect(await start({ begunWith: 'star' })).toMatchObject({ kind: 'star', said: [] });
  });

  test('is the star where a ring could not be at first, and can be now', async () => {
    const said = ['all-reduce: star, because the run began with it'];
    expect(await start({ begunWith: 'star' }, 'ring')).toMatchObject({ kind: 'star', said });
  });

  test('is another, and the reason told, where the one that it began with cannot be any more', async () => {
    const encrypted = await start({ begunWith: 'ring', ringObstacle: 'it is encrypted' });
    expect(encrypted.said).toEqual(['all-reduce: star, because it is encrypted', OTHER_BITS]);
    expect((await start({ ...apart, begunWith: 'ring' })).said).toEqual([cannotListen, OTHER_BITS]);
  });
});
