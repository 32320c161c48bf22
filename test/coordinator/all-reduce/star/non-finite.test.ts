import { describe, expect, test } from 'vitest';
import { NotTaken } from '../../../../coordinator/all-reduce/star/collect-step.ts';
import { createSecondOpinions, Diverged } from '../../../../coordinator/all-reduce/star/non-finite.ts';
import type { Member } from '../../../../coordinator/members/member.ts';
import { createTestMember } from '../../../helpers/members.ts';

const [first, second] = ['first', 'second'].map((name) => createTestMember(name).member) as [Member, Member];
const node = { first: 0, count: 2 };

/** What comes of a finding: the error that it throws. */
function find(opinions: ReturnType<typeof createSecondOpinions>, member: Member, members: readonly Member[]): unknown {
  try {
    opinions.found({ member, what: 'the loss' }, node, members);
  } catch (error) {
    return error;
  }
}

describe('a sum that a worker finds not finite', () => {
  test('is computed by another, and is the fault of the model when that one finds the same', () => {
    const opinions = createSecondOpinions();
    expect(find(opinions, first, [first, second])).toMatchObject({ taker: second });
    const verdict = find(opinions, second, [first, second]);
    expect(verdict).toBeInstanceOf(Diverged);
    expect(verdict).toMatchObject({ what: 'the loss, as first and second found' });
  });

  test('is not the fault of the model because the same worker says so twice', () => {
    const opinions = createSecondOpinions();
    find(opinions, first, [first, second]);
    const again = find(opinions, first, [first, second]);
    expect(again).toBeInstanceOf(NotTaken);
    expect(again).toMatchObject({ taker: second });
    expect(opinions.refuted(node, second).map(([member]) => member)).toEqual([first]);
  });

  test('is computed once more by the only worker, whose word then counts', () => {
    const opinions = createSecondOpinions();
    expect(find(opinions, first, [first])).toMatchObject({ taker: first });
    expect(find(opinions, first, [first])).toBeInstanceOf(Diverged);
  });
});
