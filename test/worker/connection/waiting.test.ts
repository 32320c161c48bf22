import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { NotYet, waitFor } from '../../../worker/connection/waiting.ts';
import { never } from '../../helpers/sockets.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const missing = () => new NotYet('a coordinator at ws://trainer:7878', 'connect ECONNREFUSED', 'is it running?');

/** Waits for what is there at `thereAtMs`; `startedMs` are the times of its attempts. */
function wait(thereAtMs: number, patienceMs: number, signal = never()) {
  const startMs = performance.now();
  const nowMs = () => performance.now() - startMs;
  const said: { atMs: number; line: string }[] = [];
  const startedMs: number[] = [];
  const attempt = () => {
    startedMs.push(nowMs());
    if (nowMs() < thereAtMs) throw missing();
    return 'there';
  };
  const end = waitFor(attempt, { patienceMs, signal, say: (line) => said.push({ atMs: nowMs(), line }) });
  // Looked at later: until then nobody handles it.
  end.catch(() => {});
  return { end, said, startedMs, nowMs };
}

describe('waiting', () => {
  test('ends with the first attempt that finds what is awaited', async () => {
    const { end, startedMs } = wait(100_000, 600_000);
    await vi.advanceTimersByTimeAsync(110_000);
    expect(await end).toBe('there');
    expect(startedMs.at(-1)).toBeLessThanOrEqual(105_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('says at once, and then every 10 s, what for and how long still', async () => {
    const { said } = wait(Infinity, 600_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said.map(({ atMs }) => Math.round(atMs / 1000))).toEqual([0, 10, 20, 30, 40, 50, 60]);
    expect(said[1]!.line).toBe('waiting for a coordinator at ws://trainer:7878, 590 s left (connect ECONNREFUSED)');
  });

  test('ends at its deadline, after a last attempt, with what was awaited and the cure', async () => {
    const { end, startedMs, nowMs } = wait(Infinity, 600_000);
    await vi.advanceTimersByTimeAsync(599_000);
    expect(startedMs.at(-1)).toBeLessThan(600_000);
    await vi.advanceTimersByTimeAsync(2000);
    await expect(end).rejects.toMatchObject({
      code: 'ERR_CLOSED',
      message:
        'gave up waiting for a coordinator at ws://trainer:7878 after 600 s (connect ECONNREFUSED): is it running?',
    });
    expect(startedMs.at(-1)).toBeGreaterThanOrEqual(600_000);
    expect(nowMs()).toBeLessThan(602_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('makes one attempt, and says nothing before the error, with no patience', async () => {
    const { end, startedMs, said } = wait(Infinity, 0);
    await expect(end).rejects.toThrow('gave up waiting');
    expect(startedMs).toHaveLength(1);
    expect(said).toEqual([]);
  });

  test('ends at once with an error that another attempt does not mend', async () => {
    const error = new ConfigError('not a join URL');
    await expect(waitFor(() => Promise.reject(error), { patienceMs: 600_000, signal: never() })).rejects.toBe(error);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ends at once when its user says so', async () => {
    const user = new AbortController();
    const { end } = wait(Infinity, 600_000, user.signal);
    await vi.advanceTimersByTimeAsync(3000);
    user.abort(new Error('interrupted'));
    await expect(end).rejects.toThrow('interrupted');
    expect(vi.getTimerCount()).toBe(0);
  });
});
