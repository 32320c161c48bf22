import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readFirstLine } from '../../../scripts/run/read-line.ts';

afterEach(() => vi.useRealTimers());

const SOON_MS = 20_000;

describe('the first line of an input', () => {
  test.each<[string, string[], string]>([
    ['in one piece', ['ws://trainer:1/#token\n'], 'ws://trainer:1/#token'],
    ['in pieces', ['ws://tr', 'ainer:1', '\r\n'], 'ws://trainer:1'],
  ])('is read %s while the input stays open', async (_what, pieces, expected) => {
    const stream = new PassThrough();
    const line = readFirstLine(stream, '--join-stdin', SOON_MS);
    for (const piece of pieces) stream.write(piece);
    expect(await line).toBe(expected);
  });

  test('is all that is taken: what follows is for another reader', async () => {
    const stream = new PassThrough();
    stream.write('one\ntwo\nthree\n');
    expect(await readFirstLine(stream, '--join-stdin', SOON_MS)).toBe('one');
    expect(await readFirstLine(stream, '--join-stdin', SOON_MS)).toBe('two');
    expect(String(stream.read())).toBe('three\n');
  });

  test('may end with the input', async () => {
    const stream = new PassThrough();
    stream.end('ws://trainer:1');
    expect(await readFirstLine(stream, '--join-stdin', SOON_MS)).toBe('ws://trainer:1');
  });

  test('that does not come ends the wait at its deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const line = readFirstLine(new PassThrough(), '--join-stdin', 600_000);
    vi.advanceTimersByTime(600_000);
    await expect(line).rejects.toThrow('--join-stdin: expected a line, got none within 600 s');
  });

  test.each([
    ['', 'got the end of the input'],
    ['a'.repeat(5000), 'expected a line of at most 4096 bytes, got more'],
  ])('that is none is refused, and not shown', async (text, message) => {
    const stream = new PassThrough();
    stream.end(text);
    const error = await readFirstLine(stream, '--join-stdin', SOON_MS).catch((reason: unknown) => reason as Error);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('aaaa');
  });
});
