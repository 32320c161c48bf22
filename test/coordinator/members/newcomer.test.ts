import { expect, test } from 'vitest';
import { Newcomer } from '../../../coordinator/members/newcomer.ts';
import { createTestMember } from '../../helpers/members.ts';

const create = () => new Newcomer(createTestMember('late').member, false);

test('a newcomer catches up, is up to date with the last state that it was sent, and falls behind by the next average', () => {
  const newcomer = create();
  expect(newcomer.state).toBe('catchingUp');
  newcomer.sent(3);
  expect([newcomer.state, newcomer.isAt(3), newcomer.numUnanswered]).toEqual(['catchingUp', false, 1]);
  newcomer.sent(4);
  newcomer.proved(3);
  expect([newcomer.state, newcomer.isAt(3), newcomer.numUnanswered]).toEqual(['catchingUp', false, 1]);
  newcomer.proved(4);
  expect([newcomer.state, newcomer.isAt(4), newcomer.isAt(5), newcomer.numUnanswered]).toEqual([
    ...['upToDate', true, false],
    0,
  ]);
  newcomer.sent(5);
  expect([newcomer.state, newcomer.isAt(4)]).toEqual(['catchingUp', false]);
});

test('a newcomer that is recalled must prove its state again, though it has proved the same', () => {
  const newcomer = create();
  newcomer.sent(3);
  newcomer.proved(3);
  newcomer.sentAgain(3);
  expect([newcomer.state, newcomer.isAt(3)]).toEqual(['catchingUp', false]);
  newcomer.proved(3);
  expect([newcomer.state, newcomer.isAt(3)]).toEqual(['upToDate', true]);
});
