import { describe, expect, it } from 'vitest';
import type { Member } from '../../../coordinator/members/member.ts';
import { createPatience } from '../../../coordinator/step/deadlines.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';

const makeMember = (id: string): Member => {
  return { id, name: id, engine: 'none', device: 'none', threads: 1, transport: memoryTransportPair()[0] };
};

describe('patience', () => {
  it('is the most that is allowed until there are three answers, then ten times the longest of them', () => {
    const patience = createPatience(60_000);
    const member = makeMember('w1');
    for (const milliseconds of [900, 100]) patience.observe(member, milliseconds);
    expect(patience.of(member)).toBe(60_000);
    patience.observe(member, 400);
    expect(patience.of(member)).toBe(9000);
    patience.observe(member, 900.01);
    expect(patience.of(member)).toBe(9001);
  });

  it('is never below three seconds, nor beyond what is allowed', () => {
    const member = makeMember('w1');
    for (const [longestMs, expectedMs] of [
      [2, 3000],
      [50_000, 60_000],
    ] as const) {
      const patience = createPatience(60_000);
      for (let i = 0; i < 3; i++) patience.observe(member, longestMs);
      expect(patience.of(member)).toBe(expectedMs);
    }
    const impatient = createPatience(1000);
    for (let i = 0; i < 3; i++) impatient.observe(member, 2);
    expect(impatient.of(member)).toBe(1000);
  });

  it('forgets an answer that took long once', () => {
    const patience = createPatience(60_000);
    const member = makeMember('w1');
    const observe = (count: number, milliseconds: number) => {
      for (let i = 0; i < count; i++) patience.observe(member, milliseconds);
    };
    observe(3, 2900);
    observe(97, 2);
    expect(patience.of(member)).toBe(29_000);
    observe(101, 2);
    expect(patience.of(member)).toBe(3000);
  });

  it("is each member's own", () => {
    const patience = createPatience(60_000);
    for (let i = 0; i < 3; i++) patience.observe(makeMember('w1'), 2);
    expect(patience.of(makeMember('w1'))).toBe(60_000);
  });
});
