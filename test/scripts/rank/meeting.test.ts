import { describe, expect, test } from 'vitest';
import { describeRank } from '../../../scripts/rank/describe-rank.ts';
import { meetingOf } from '../../../scripts/rank/meeting.ts';
import type { MeetingFlags } from '../../../scripts/rank/meeting.ts';
import type { FoundPart } from '../../../scripts/rank/families.ts';
import { runInProcess } from '../../helpers/in-process.ts';

const PART: FoundPart = {
  ...{ family: 'torchrun', read: 'RANK=1 WORLD_SIZE=4', ignored: [] },
  ...{ rank: 1, size: 4, localRank: 0, isOneHost: false, host: 'node-0', port: 29_501 },
};
const POD: FoundPart = { ...PART, family: 'Kubernetes', size: undefined, host: undefined, port: undefined };
const MACHINE = { hostname: 'train-1', hasIPv6: false };

const meet = (part: FoundPart, flags: MeetingFlags = {}, hasToken = true) => meetingOf(part, flags, hasToken, MACHINE);

describe('ranks meet', () => {
  test('at the address that the launcher gives, or the user', () => {
    expect(meet(PART)).toEqual({ listen: '0.0.0.0:29501', address: 'node-0:29501' });
    expect(meet(PART, { coordinatorHost: 'fe80::1', port: 4000 })).toEqual({
      ...{ listen: '0.0.0.0:4000', address: '[fe80::1]:4000' },
    });
    expect(meet({ ...PART, port: undefined }).address).toBe('node-0:7878');
    expect(meetingOf(PART, {}, true, { ...MACHINE, hasIPv6: true }).listen).toBe('[::]:29501');
  });

  test('on one machine by loopback, which no other machine reaches', () => {
    expect(meet({ ...PART, isOneHost: true })).toEqual({ listen: '127.0.0.1:29501', address: '127.0.0.1:29501' });
  });

  test('at the pod of index 0, by the name of this pod and the headless Service', () => {
    expect(meet(POD, { service: 'train' }).address).toBe('train-0.train:7878');
    expect(() => meetingOf(POD, { service: 'train' }, true, { ...MACHINE, hostname: 'elsewhere' })).toThrow(
      'expected a host name that ends with -1, as pods of an Indexed Job have, got elsewhere',
    );
  });

  test('by the join file in the run directory where they have no token or no address in common', () => {
    const byFile = { joinFile: 'runs/one/join' };
    expect(meet(PART, { runDir: 'runs/one' }, false)).toEqual({ ...byFile, listen: '0.0.0.0:29501' });
    expect(meet(POD, { runDir: 'runs/one' })).toEqual({ ...byFile, listen: '0.0.0.0:0' });
    expect(meet(PART, { runDir: 'runs/one' }).joinFile).toBeUndefined();
    expect(meet(PART, { joinFile: '/shared/join' }).joinFile).toBe('/shared/join');
  });

  test('nowhere without an address, or without a token: an error that names the cures', () => {
    expect(() => meet(POD)).toThrow(
      /^rank: Kubernetes does not say on which machine rank 0 is: set MASTER_ADDR, .*--join-file/,
    );
    expect(() => meet(PART, {}, false)).toThrow(
      /^rank: the ranks have no token in common: set GRADSOCK_TOKEN .*--run-dir/,
    );
    expect(meet({ ...PART, rank: 0, size: 1 }, {}, false).listen).toBe('0.0.0.0:29501');
  });
});

test('a rank says which launcher it follows, what it read, and where it joins', () => {
  const part = { ...PART, rank: 0, read: 'RANK=0 WORLD_SIZE=4', ignored: ['SLURM_PROCID=2 of Slurm'] };
  expect(describeRank(part, { listen: '0.0.0.0:29501', address: 'node-0:29501' })).toEqual([
    'rank 0 of 4, by torchrun: RANK=0 WORLD_SIZE=4',
    'rank 0 of 4: not followed: SLURM_PROCID=2 of Slurm, because torchrun has started this process',
    'rank 0 of 4: coordinates at 0.0.0.0:29501, and joins at node-0:29501',
  ]);
});

describe('gradsock rank', () => {
  test.each([
    [
      { JOB_COMPLETION_INDEX: '0' },
      'error: rank: JOB_COMPLETION_INDEX=0 of Kubernetes: it does not say how many workers',
    ],
    [
      { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '1' },
      'error: rank: the ranks have no token in common',
    ],
  ])('with %j ends with 2 and the cure', async (env, message) => {
    const { code, output } = await runInProcess(['rank'], { ...env, OMPI_COMM_WORLD_RANK: '', SLURM_PROCID: '' });
    expect(code).toBe(2);
    expect(output).toContain(message);
  });
});
