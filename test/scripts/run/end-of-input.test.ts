import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { endOfInput } from '../../../scripts/run/end-of-input.ts';
import { readFirstLine } from '../../../scripts/run/read-line.ts';

afterEach(() => vi.useRealTimers());

const never = () => expect.unreachable('it was ended at once');

test('the end of the input, and nothing before it, aborts the signal', async () => {
  const input = new PassThrough();
  input.write('ws://trainer:1\nand more');
  await readFirstLine(input, '--join-stdin', 20_000);
  const { signal, close } = endOfInput(input, never);
  input.write('and more still');
  await new Promise(setImmediate);
  expect(signal.aborted).toBe(false);
  input.end();
  await once(signal, 'abort');
  close();
});

test('an input that has ended with its first line aborts the signal', async () => {
  const input = new PassThrough();
  input.end('ws://trainer:1');
  await readFirstLine(input, '--join-stdin', 20_000);
  const { signal, close } = endOfInput(input, never);
  if (!signal.aborted) await once(signal, 'abort');
  close();
});

test('an input that breaks aborts the signal', async () => {
  const input = new PassThrough();
  const { signal, close } = endOfInput(input, never);
  input.destroy(new Error('EIO'));
  await once(signal, 'abort');
  close();
});

test('who has not left 5 s after the end is ended, and who has is not', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  for (const hasLeft of [false, true]) {
    const input = new PassThrough();
    const ended = vi.fn();
    const { close } = endOfInput(input, ended);
    input.emit('end');
    if (hasLeft) close();
    vi.advanceTimersByTime(5000);
    expect(ended).toHaveBeenCalledTimes(hasLeft ? 0 : 1);
    close();
  }
});
