import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AllFailed, raceAttempts } from '../../../worker/connection/race.ts';
import type { Attempt } from '../../../worker/connection/race.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Attempts that hang until they are ended, fail or succeed after a time; and when each began and was ended. */
function attempts(...plan: ('hangs' | { failsMs: number } | { succeedsMs: number })[]) {
  const startMs = performance.now();
  const history: string[] = [];
  const now = () => performance.now() - startMs;
  const made = plan.map<Attempt<number>>((how, nth) => (signal) => {
    history.push(`${nth} begins at ${now()}`);
    signal.addEventListener('abort', () => history.push(`${nth} is ended at ${now()}`));
    return new Promise((resolve, reject) => {
      if (how === 'hangs') signal.addEventListener('abort', () => reject(new Error('ended')));
      else if ('failsMs' in how) setTimeout(() => reject(new Error(`no ${nth}`)), how.failsMs);
      else setTimeout(() => resolve(nth), how.succeedsMs);
    });
  });
  return { made, history };
}

const never = () => new AbortController().signal;

describe('a race of attempts', () => {
  test('that hang is won by the third, 500 ms after the first began', async () => {
    const { made, history } = attempts('hangs', 'hangs', { succeedsMs: 10 });
    const won = raceAttempts(made, { signal: never(), discard() {} });
    await vi.advanceTimersByTimeAsync(510);
    expect(await won).toBe(2);
    expect(history.slice(0, 3)).toEqual(['0 begins at 0', '1 begins at 250', '2 begins at 500']);
    expect(history).toContain('0 is ended at 510');
  });

  test('begins the next one at once when one fails', async () => {
    const { made, history } = attempts({ failsMs: 5 }, { failsMs: 5 }, { succeedsMs: 5 });
    const won = raceAttempts(made, { signal: never(), discard() {} });
    await vi.advanceTimersByTimeAsync(15);
    expect(await won).toBe(2);
    expect(history.slice(0, 3)).toEqual(['0 begins at 0', '1 begins at 5', '2 begins at 10']);
  });

  test('is won by a slow first one, and the second is never begun where that answers in time', async () => {
    const { made, history } = attempts({ succeedsMs: 200 }, { succeedsMs: 1 });
    const won = raceAttempts(made, { signal: never(), discard() {} });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await won).toBe(0);
    expect(history).toEqual(['0 begins at 0', '0 is ended at 200']);
  });

  test('discards what succeeds too late', async () => {
    const { made } = attempts({ succeedsMs: 300 }, { succeedsMs: 60 });
    const late: number[] = [];
    const won = raceAttempts(made, { signal: never(), discard: (result) => late.push(result) });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await won).toBe(0);
    expect(late).toEqual([1]);
  });

  test('fails with the errors of all, in their order', async () => {
    const { made } = attempts({ failsMs: 400 }, { failsMs: 5 });
    const lost = raceAttempts(made, { signal: never(), discard() {} }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1000);
    const error = await lost;
    expect(error).toBeInstanceOf(AllFailed);
    expect((error as AllFailed).errors.map(String)).toEqual(['Error: no 0', 'Error: no 1']);
  });

  test('is ended by its signal, with every attempt', async () => {
    const { made, history } = attempts('hangs', 'hangs');
    const stop = new AbortController();
    const lost = raceAttempts(made, { signal: stop.signal, discard() {} }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(300);
    const reason = new Error('interrupted');
    stop.abort(reason);
    expect(await lost).toBe(reason);
    expect(history.slice(2)).toEqual(['0 is ended at 300', '1 is ended at 300']);
  });
});
