import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { parseHostfile, readHostfile } from '../../../scripts/launch/hostfile.ts';
import { parseHosts, groupsOf } from '../../../scripts/launch/hosts.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

describe('--hosts', () => {
  test.each([
    ['node1', [['node1', 1]]],
    [
      'node1,node2:4',
      [
        ['node1', 1],
        ['node2', 4],
      ],
    ],
    [
      ' node1 , ada@node2:2',
      [
        ['node1', 1],
        ['ada@node2', 2],
      ],
    ],
    [
      '[2001:db8::1]:4,2001:db8::2,ada@[::1]',
      [
        ['2001:db8::1', 4],
        ['2001:db8::2', 1],
        ['ada@::1', 1],
      ],
    ],
    ['[fe80::1%eth0]:2', [['fe80::1%eth0', 2]]],
    ['10.0.0.7:3', [['10.0.0.7', 3]]],
  ])('%s', (text, expected) => {
    expect(parseHosts(text, '--hosts').map(({ destination, slots }) => [destination, slots])).toEqual(expected);
  });

  test.each([
    '-oProxyCommand=true',
    '-v',
    'ada@-v',
    '-l@node1',
    'node 1',
    'node1;true',
    '$(true)',
    'a,,b',
    '[::1',
    '@a',
    'a/b',
    "it's",
  ])('a host that is none, or would be an option of ssh, is refused: %s', (text) => {
    expect(() => parseHosts(text, '--hosts')).toThrow(ConfigError);
    expect(() => parseHosts(text, '--hosts')).toThrow('--hosts: expected HOST, HOST:SLOTS or user@HOST');
  });

  test.each(['node1:0', 'node1:', 'node1:x', 'node1:-2', 'node1:1025', 'node1:2:3'])(
    '%s has no number of slots',
    (text) => {
      expect(() => parseHosts(text, '--hosts')).toThrow(/expected a number of slots from 1 to 1024, got "/);
    },
  );

  test('none is refused', () => {
    expect(() => parseHosts(' ', '--hosts')).toThrow('--hosts: expected hosts, such as node1,node2:4');
  });
});

describe('a host file', () => {
  test('has the forms of MPI and DeepSpeed', () => {
    const text = [
      '# the lab',
      'node1 slots=4',
      'node2:2   # the old one',
      '',
      'ada@node3 slots = 1 max_slots=8',
      '[2001:db8::1] device=cuda:1\r',
      'node4 device=webgpu slots=2',
    ].join('\n');
    expect(parseHostfile(text, '--hostfile f')).toEqual([
      { destination: 'node1', slots: 4 },
      { destination: 'node2', slots: 2 },
      { destination: 'ada@node3', slots: 1 },
      { destination: '2001:db8::1', slots: 1, device: 'cuda:1' },
      { destination: 'node4', slots: 2, device: 'webgpu' },
    ]);
  });

  test.each([
    ['node1\nnode2 slots=none', 'line 2: expected a number of slots from 1 to 1024, got "none"'],
    ['node1 cores=4', 'line 1: expected slots=N or device=NAME after the host, got cores=4'],
    ['node1 4', 'line 1: expected slots=N or device=NAME after the host, got 4'],
    ['node1:2 slots=2', 'line 1: expected one number of slots and one device, got slots again'],
    ['-oProxyCommand=x slots=2', 'line 1: expected HOST, HOST:SLOTS or user@HOST'],
    ['# nobody', 'expected a host on each line, such as "node1 slots=4", got no host'],
  ])('with the mistake %j names its line', (text, message) => {
    const path = join(temporaryFolder(), 'hosts');
    writeFileSync(path, text);
    expect(() => readHostfile(path)).toThrow(`--hostfile ${path}: ${message}`);
  });

  test('that is not there is refused', () => {
    expect(() => readHostfile('/nowhere/hosts')).toThrow(ConfigError);
  });
});

describe('the groups of hosts', () => {
  test('have the slots of a host that is named again, and one for each of its devices', () => {
    const text = 'node1 device=cuda:0\nada@node2 slots=2\nnode1 device=cuda:1\nada@node2:3';
    expect(groupsOf(parseHostfile(text, '--hostfile f'))).toEqual([
      { destination: 'node1', label: 'node1', name: 'node1:cuda:0', numWorkers: 1, device: 'cuda:0' },
      { destination: 'ada@node2', label: 'node2', name: 'node2', numWorkers: 5, device: undefined },
      { destination: 'node1', label: 'node1', name: 'node1:cuda:1', numWorkers: 1, device: 'cuda:1' },
    ]);
  });

  test('have the user in their names where two users work on one host', () => {
    const names = groupsOf(parseHosts('ada@node1,bob@node1,bob@node2', '--hosts')).map(({ name }) => name);
    expect(names).toEqual(['ada@node1', 'bob@node1', 'node2']);
  });

  test('have at most 10,000 workers', () => {
    const hosts = Array.from({ length: 11 }, (_, n) => `node${n}:1000`).join();
    expect(() => groupsOf(parseHosts(hosts, '--hosts'))).toThrow('expected at most 10000 workers, got 11000');
  });
});
