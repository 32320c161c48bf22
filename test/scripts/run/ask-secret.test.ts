import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { askSecret } from '../../../scripts/run/ask-secret.ts';
import { Interruption } from '../../../scripts/process.ts';

afterEach(() => vi.useRealTimers());

/** A terminal's two ends: what was written to it, and whether it echoes by itself now. */
function terminal() {
  const state = { shown: '', isRaw: false };
  const input = Object.assign(new PassThrough(), {
    setRawMode(isRaw: boolean) {
      state.isRaw = isRaw;
    },
  });
  const output = {
    write(text: string) {
      state.shown += text;
    },
  };
  const answer = askSecret('token: ', { input, output, timeoutMs: 600_000 });
  return { input, state, answer };
}

describe('a secret that is asked for', () => {
  test.each<[string, string, string]>([
    ['typed', 'secret\r', 'secret'],
    ['typed with a mistake', 'secrex\u007ft\r', 'secret'],
    ['pasted', '\u001b[200~secret\u001b[201~\r', 'secret'],
    ['begun anew', 'wrong\u0015secret\n', 'secret'],
    ['nothing but Enter', '\r', ''],
    ['the end of the input', '\u0004', ''],
  ])('is what was entered, and never shown: %s', async (_what, keys, expected) => {
    const { input, state, answer } = terminal();
    expect(state.isRaw).toBe(true);
    for (const key of keys) input.write(key);
    expect(await answer).toBe(expected);
    expect(state).toEqual({ shown: 'token: \n', isRaw: false });
  });

  test('pasted with its end in one piece is taken too', async () => {
    const { input, answer } = terminal();
    input.write('\u001b[200~secret\u001b[201~\r');
    expect(await answer).toBe('secret');
  });

  test('is not waited for after Ctrl-C, and the terminal is as it was', async () => {
    const { input, state, answer } = terminal();
    input.write('sec\u0003');
    await expect(answer).rejects.toBeInstanceOf(Interruption);
    expect(state.isRaw).toBe(false);
  });

  test('has a deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { state, answer } = terminal();
    vi.advanceTimersByTime(600_000);
    await expect(answer).rejects.toThrow('token: nothing was entered within 600 s');
    expect(state.isRaw).toBe(false);
  });
});
