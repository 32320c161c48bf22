import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { watchMembers } from '../../../scripts/bench/chaos/members.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const LONG = 60;

/** The log of a run of two workers, and a watch over it. */
function watched() {
  const log = join(temporaryFolder(), 'log.jsonl');
  const members = watchMembers(log, 2);
  const { signal } = new AbortController();
  return {
    members,
    tell: (...texts: string[]) => {
      for (const msg of texts) appendFileSync(log, `${JSON.stringify({ level: 30, msg })}\n`);
    },
    append: (text: string) => appendFileSync(log, text),
    /** As it stands. */
    isMember: (name: string) => members.untilMember(name, 0, signal),
    untilMember: (name: string) => members.untilMember(name, LONG, signal),
  };
}

const begin = ['w1 (chaos-1) is ready', 'w2 (chaos-2) is ready'];

describe('by the log of a run,', () => {
  test('those that it waited for are members, and who is ready later is one when it takes part', async () => {
    const { tell, isMember } = watched();
    expect(await isMember('chaos-1')).toBe(false);
    tell(...begin, 'w3 (chaos-3) is ready');
    expect(await Promise.all(['chaos-1', 'chaos-2', 'chaos-3'].map(isMember))).toEqual([true, true, false]);
    tell('chaos-3 (w3) takes part from step 20 on');
    expect(await isMember('chaos-3')).toBe(true);
  });

  test.each([
    'lost worker chaos-2 (w2), step 7: the connection is closed',
    'chaos-2 (w2) is late in step 7: others do its work; it takes part again when it has caught up',
    'resumed after step 50',
  ])('one is no member after "%s"', async (text) => {
    const { tell, isMember } = watched();
    tell(...begin, text);
    expect(await isMember('chaos-2')).toBe(false);
    tell('w2 (chaos-2) is ready', 'chaos-2 (w2) takes part from step 9 on');
    expect(await isMember('chaos-2')).toBe(true);
  });

  test('one that was killed is none, though the run does not know it yet, until another takes its place', async () => {
    const { members, tell, isMember, untilMember } = watched();
    tell(...begin);
    members.killed('chaos-1');
    expect(await isMember('chaos-1')).toBe(false);
    tell('lost worker chaos-1 (w1), step 7: the connection is closed', 'w3 (chaos-1) is ready');
    expect(await isMember('chaos-1')).toBe(false);
    const again = untilMember('chaos-1');
    tell('chaos-1 (w3) takes part from step 9 on');
    expect(await again).toBe(true);
  });

  test('a line that is being written is read when it is whole', async () => {
    const { append, isMember } = watched();
    append('{"msg":"w1 (chao');
    expect(await isMember('chaos-1')).toBe(false);
    append('s-1) is ready"}\n');
    expect(await isMember('chaos-1')).toBe(true);
  });

  test('waiting ends when the run does', async () => {
    const stopping = new AbortController();
    const waiting = watched().members.untilMember('chaos-1', LONG, stopping.signal);
    stopping.abort();
    expect(await waiting).toBe(false);
  });
});
