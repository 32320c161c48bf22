import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, ProtocolError } from '../../../protocol/errors.ts';
import { RunEnded } from '../../../protocol/wire/transport.ts';
import { isLost, pauseMs, workAndRejoin } from '../../../worker/connection/reconnect.ts';
import { never } from '../../helpers/sockets.ts';

const lost = () => new ProtocolError('ERR_CLOSED', 'the connection was lost');

/** Works as `outcomes` say, one after the other: an error is thrown, a reason returned; 'unready' is lost early. */
function rejoin(
  outcomes: readonly (Error | string)[],
  patienceMs = 60_000,
  signal = never(),
  looksFurther?: (refusal: ProtocolError) => boolean,
) {
  const told: string[] = [];
  const patience: (number | undefined)[] = [];
  let i = 0;
  const end = workAndRejoin<number>({
    patienceMs,
    connect: (leftMs) => {
      patience.push(leftMs);
      return Promise.resolve(i);
    },
    work: (_connection, onReady) => {
      const outcome = outcomes[i++]!;
      if (outcome === 'unready') return Promise.reject(lost());
      if (outcome instanceof ProtocolError && outcome.code === 'ERR_UNAUTHENTICATED') return Promise.reject(outcome);
      onReady();
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome);
    },
    ...(looksFurther && { looksFurther }),
    signal,
    warn: (line) => told.push(line),
  });
  return { end, told, patience };
}

describe('a worker', () => {
  test('comes back after each loss, and says so once a loss and once a return', async () => {
    const { end, told, patience } = rejoin([lost(), lost(), 'the run is completed']);
    expect(await end).toBe('the run is completed');
    const pair = ['the connection was lost: trying again for up to 60 s', 'the coordinator is back: joining again'];
    expect(told).toEqual([...pair, ...pair]);
    expect(patience[0]).toBeUndefined();
    for (const leftMs of patience.slice(1)) expect(leftMs).toBeGreaterThan(59_000);
  });

  test('has one deadline for all connections that are lost before they are of use', async () => {
    const { end, patience } = rejoin([lost(), 'unready', 'unready', 'done']);
    expect(await end).toBe('done');
    expect(patience.slice(1)).toEqual([...patience.slice(1)].sort((a, b) => b! - a!));
    expect(new Set(patience).size).toBe(4);
  });

  test('does not wait with --reconnect 0', async () => {
    const { end, told } = rejoin([lost()], 0);
    await expect(end).rejects.toThrow('the connection was lost');
    expect(told).toEqual([]);
  });

  test('stops waiting when its user says so', async () => {
    const user = new AbortController();
    const { end } = rejoin([lost()], 60_000, user.signal);
    user.abort();
    await expect(end).rejects.toThrow();
  });

  test('looks further after a refusal where its join URL may change, within the time before it has joined', async () => {
    const refusal = new ProtocolError('ERR_UNAUTHENTICATED', 'another token');
    const refusals: ProtocolError[] = [];
    const { end, told, patience } = rejoin([refusal, refusal, 'done'], 60_000, never(), (error) => {
      refusals.push(error);
      return true;
    });
    expect(await end).toBe('done');
    expect({ refusals, told, patience }).toEqual({
      refusals: [refusal, refusal],
      told: [],
      patience: [undefined, undefined, undefined],
    });
    await expect(rejoin([refusal], 60_000, never(), () => false).end).rejects.toBe(refusal);
  });

  test.each([
    new RunEnded({ kind: 'shutdown', reason: 'it has failed' }),
    new ProtocolError('ERR_RUN_FULL', 'the run is over'),
    new ConfigError('no such engine'),
  ])('is not brought back by anything but a loss: %s', async (error) => {
    await expect(rejoin([error]).end).rejects.toBe(error);
    expect(isLost(error)).toBe(false);
  });
});

test('pauses double from 0.1 s to 5 s, each less a random half', () => {
  expect([0, 1, 2, 5, 6, 100].map((attempt) => pauseMs(attempt, () => 0))).toEqual([100, 200, 400, 3200, 5000, 5000]);
  fc.assert(
    fc.property(fc.nat(1000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
      const longest = pauseMs(attempt, () => 0);
      const pause = pauseMs(attempt, () => random);
      expect(pause).toBeGreaterThan(longest / 2 - 1e-9);
      expect(pause).toBeLessThanOrEqual(longest);
    }),
  );
});
