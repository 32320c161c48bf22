import { describe, expect, it } from 'vitest';
import type { Member } from '../../../coordinator/members/member.ts';
import { createDeadlines } from '../../../coordinator/step/deadlines.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';

const makeMember = (id: string): Member => {
  return { id, name: id, engine: 'none', device: 'none', threads: 1, transport: memoryTransportPair()[0] };
};

describe('deadlines', () => {
  it('is the most that is allowed until there are three answers, then ten times the longest of them', () => {
    const deadlines = createDeadlines(60_000);
    const member = makeMember('w1');
    for (const milliseconds of [900, 100]) deadlines.observe(member, milliseconds);
    expect(deadlines.of(member)).toBe(60_000);
    deadlines.observe(member, 400);
    expect(deadlines.of(member)).toBe(9000);
    deadlines.observe(member, 900.01);
    expect(deadlines.of(member)).toBe(9001);
  });

  it('is never below three seconds, nor beyond what is allowed', () => {
    const member = makeMember('w1');
    for (const [longestMs, expectedMs] of [
      [2, 3000],
      [50_000, 60_000],
    ] as const) {
      const deadlines = createDeadlines(60_000);
      for (let i = 0; i < 3; i++) deadlines.observe(member, longestMs);
      expect(deadlines.of(member)).toBe(expectedMs);
    }
    const short = createDeadlines(1000);
    for (let i = 0; i < 3; i++) short.observe(member, 2);
    expect(short.of(member)).toBe(1000);
  });

  it('forgets an answer that took long once', () => {
    const deadlines = createDeadlines(60_000);
    const member = makeMember('w1');
    const observe = (count: number, milliseconds: number) => {
      for (let i = 0; i < count; i++) deadlines.observe(member, milliseconds);
    };
    observe(3, 2900);
    observe(97, 2);
    expect(deadlines.of(member)).toBe(29_000);
    observe(101, 2);
    expect(deadlines.of(member)).toBe(3000);
  });

  it("is each member's own", () => {
    const deadlines = createDeadlines(60_000);
    for (let i = 0; i < 3; i++) deadlines.observe(makeMember('w1'), 2);
    expect(deadlines.of(makeMember('w1'))).toBe(60_000);
  });
});
