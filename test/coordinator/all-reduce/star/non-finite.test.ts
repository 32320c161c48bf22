import { describe, expect, test } from 'vitest';
import { createSecondOpinions } from '../../../../coordinator/all-reduce/star/non-finite.ts';
import type { Member } from '../../../../coordinator/members/member.ts';
import { createTestMember } from '../../../helpers/members.ts';

const [first, second] = ['first', 'second'].map((name) => createTestMember(name).member) as [Member, Member];
const node = { first: 0, count: 2 };
const foundBy = (member: Member) => ({ member, node, what: 'the loss' });

describe('a sum that a worker finds not finite', () => {
  test('is computed by another, and is the fault of the model when that one finds the same', () => {
    const opinions = createSecondOpinions();
    expect(opinions.judge(foundBy(first), [first, second])).toEqual({ recomputedBy: second });
    expect(opinions.judge(foundBy(second), [first, second])).toEqual({
      diverged: 'the loss, as first and second found',
    });
  });

  test('is not the fault of the model because the same worker says so twice', () => {
    const opinions = createSecondOpinions();
    opinions.judge(foundBy(first), [first, second]);
    expect(opinions.judge(foundBy(first), [first, second])).toEqual({ recomputedBy: second });
    expect(opinions.refuted(node, second).map(([member]) => member)).toEqual([first]);
  });

  test('is computed once more by the only worker, whose word then counts', () => {
    const opinions = createSecondOpinions();
    expect(opinions.judge(foundBy(first), [first])).toEqual({ recomputedBy: first });
    expect(opinions.judge(foundBy(first), [first])).toEqual({ diverged: 'the loss, as first found' });
  });
});
