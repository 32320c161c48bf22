import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProtocolError } from '../../../protocol/errors.ts';
import { followTarget } from '../../../worker/connection/join-target.ts';
import type { JoinTarget } from '../../../worker/connection/join-target.ts';
import { NotYet } from '../../../worker/connection/waiting.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const target = (port: number): JoinTarget => ({ url: `ws://trainer:${port}`, token: 'a'.repeat(43) });
const refusal = new ProtocolError('ERR_UNAUTHENTICATED', 'the coordinator does not know the token');

function follow(canChange = true) {
  const file: { content: JoinTarget | undefined } = { content: target(1) };
  const read = () => {
    if (!file.content) throw new NotYet('the join file x', 'it is not there', 'start the coordinator');
    return file.content;
  };
  return { file, followed: followTarget({ what: 'the join file x', canChange, read }) };
}

describe('a join target', () => {
  test('is read anew for each attempt', () => {
    const { file, followed } = follow();
    expect(followed.next()).toEqual(target(1));
    file.content = target(2);
    expect(followed.next()).toEqual(target(2));
    file.content = undefined;
    expect(() => followed.next()).toThrow(NotYet);
  });

  test('that was refused is not tried again at once, but another is', () => {
    const { file, followed } = follow();
    followed.next();
    expect(followed.refused(refusal)?.awaited).toBe('a new join URL in the join file x');
    expect(() => followed.next()).toThrow('at ws://trainer:1: the coordinator does not know the token');
    file.content = target(2);
    expect(followed.next()).toEqual(target(2));
  });

  test('that was refused is tried again after a while: the next run may have the same port and token', () => {
    const { followed } = follow();
    followed.next();
    followed.refused(refusal);
    vi.advanceTimersByTime(9000);
    expect(() => followed.next()).toThrow(NotYet);
    vi.advanceTimersByTime(1000);
    expect(followed.next()).toEqual(target(1));
  });

  test('that cannot change has its last word with the first refusal', () => {
    const { followed } = follow(false);
    followed.next();
    expect(followed.refused(refusal)).toBeUndefined();
  });

  test('that was joined is tried again while its file is gone', () => {
    const { file, followed } = follow();
    followed.next();
    followed.isRight();
    file.content = undefined;
    expect(followed.next()).toEqual(target(1));
  });
});
