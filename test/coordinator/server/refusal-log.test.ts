import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMembership } from '../../../coordinator/members/membership.ts';
import { createRefusalLog } from '../../../coordinator/server/refusal-log.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('refused connections', () => {
  const start = () => {
    const lines: string[] = [];
    const refusals = createRefusalLog((line) => lines.push(line), { maxLines: 3, windowMs: 1000 });
    const refuse = (count: number) => {
      for (let i = 0; i < count; i++) refusals.add('refused', {});
    };
    return { lines, refusals, refuse };
  };

  test('are told of one by one, of too many in a time their number', () => {
    const { lines, refuse } = start();
    refuse(140);
    expect(lines).toEqual(['refused', 'refused', 'refused']);
    vi.advanceTimersByTime(1000);
    expect(lines.slice(3)).toEqual(['137 more connections were refused']);
    refuse(1);
    expect(lines.at(-1)).toBe('refused');
  });

  test('in a few need no number, and the time begins with the first of them', () => {
    const { lines, refuse } = start();
    vi.advanceTimersByTime(900);
    refuse(3);
    vi.advanceTimersByTime(900);
    refuse(1);
    expect(lines.length).toBe(3);
    vi.advanceTimersByTime(100);
    expect(lines.slice(3)).toEqual(['1 more connection was refused']);
    vi.advanceTimersByTime(60_000);
    expect(lines.length).toBe(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that are counted when the run ends are told of then', () => {
    const { lines, refusals, refuse } = start();
    refuse(5);
    refusals.flush();
    expect(lines.at(-1)).toBe('2 more connections were refused');
    vi.advanceTimersByTime(1000);
    expect(lines.length).toBe(4);
  });

  test('in a flood fill no log: what a membership writes does not grow with it', async () => {
    const lines: string[] = [];
    const membership = createMembership({ welcome: SAMPLE_MESSAGES.welcome, log: (_, line) => lines.push(line) });
    for (let i = 0; i < 200; i++) {
      const [own, stranger] = memoryTransportPair();
      stranger.close(new ProtocolError('ERR_ENGINE', 'a lie'));
      await membership.admit(own);
    }
    expect(lines.length).toBe(LIMITS.refusalLines);
    membership.dismiss('over');
    expect(lines.slice(LIMITS.refusalLines)).toEqual([`${200 - LIMITS.refusalLines} more connections were refused`]);
  });
});
