import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  candidateAddresses,
  defaultRouteInterfaces,
  parseAdvertised,
  reachableHosts,
} from '../../../coordinator/server/addresses.ts';
import { isOwnOrigin } from '../../../coordinator/server/origin.ts';

const entry = (address: string, internal = false): NetworkInterfaceInfo => {
  const shared = { address, netmask: '', mac: '', internal, cidr: null };
  return address.includes(':') ? { ...shared, family: 'IPv6', scopeid: 0 } : { ...shared, family: 'IPv4' };
};

/** A workstation with Docker, a virtual machine, a VPN and two networks; the first of them is not the default route's. */
const TABLE = {
  lo: [entry('127.0.0.1', true), entry('::1', true)],
  docker0: [entry('172.17.0.1')],
  'br-1f3a': [entry('172.18.0.1')],
  virbr0: [entry('192.168.122.1')],
  veth12ab: [entry('169.254.7.1'), entry('fe80::1')],
  tun0: [entry('10.8.0.2')],
  wg0: [entry('10.9.0.2')],
  enp1s0: [entry('10.0.0.5'), entry('2001:db8::5'), entry('fe80::5')],
  wlan0: [entry('192.168.1.7'), entry('fd00::7')],
};
const BOTH = ['IPv4', 'IPv6'] as const;

describe("a machine's addresses, the likeliest first", () => {
  test.each<[string, string[], readonly ('IPv4' | 'IPv6')[], string[]]>([
    ['the default route first', ['wlan0'], ['IPv4'], ['192.168.1.7', '10.0.0.5']],
    ['in their order without one', [], ['IPv4'], ['10.0.0.5', '192.168.1.7']],
    ['a VPN that has the default route is none', ['tun0', 'wlan0'], ['IPv4'], ['192.168.1.7', '10.0.0.5']],
    ['with IPv6', ['wlan0'], BOTH, ['192.168.1.7', 'fd00::7', '10.0.0.5', '2001:db8::5']],
    ['an interface that has gone', ['eth9'], ['IPv4'], ['10.0.0.5', '192.168.1.7']],
  ])('%s', (_what, defaultRoutes, families, expected) => {
    expect(candidateAddresses(TABLE, defaultRoutes, families)).toEqual(expected);
  });

  test('are those of virtual interfaces where there are no others', () => {
    const { lo, docker0, wg0 } = TABLE;
    expect(candidateAddresses({ lo, docker0, wg0 }, ['wg0'], ['IPv4'])).toEqual(['10.9.0.2', '172.17.0.1']);
  });

  test('are the loopback address where there are none', () => {
    expect(candidateAddresses({ lo: TABLE.lo, eth0: undefined }, [], BOTH)).toEqual(['127.0.0.1']);
    expect(candidateAddresses({}, [], ['IPv6'])).toEqual(['::1']);
  });

  test('of a server that listens on one are that one', () => {
    expect(reachableHosts('10.1.2.3')).toEqual(['10.1.2.3']);
    expect(reachableHosts('0.0.0.0').length).toBeGreaterThan(0);
  });
});

describe('the interfaces of the default routes', () => {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const row = (name: string, destination: string, flags: string, metric: number, mask: string) =>
    [name, destination, '0100000A', flags, 0, 0, metric, mask, 0, 0, 0].join('\t');
  const row6 = (destination: string, length: string, metric: string, flags: string, name: string) =>
    `${destination} ${length} ${'0'.repeat(32)} 00 ${'0'.repeat(32)} ${metric} 00000001 00000000 ${flags} ${name.padStart(8)}`;
  const any = '0'.repeat(32);

  test('come by their metric, IPv4 before IPv6', () => {
    const routes = [
      head,
      row('wlan0', '00000000', '0003', 600, '00000000'),
      row('enp1s0', '00000000', '0003', 100, '00000000'),
      row('docker0', '000011AC', '0001', 0, '0000FFFF'),
      row('down0', '00000000', '0000', 1, '00000000'),
    ].join('\n');
    const routes6 = [
      row6(any, '00', '00000400', '00000003', 'eth6'),
      row6(any, '00', 'ffffffff', '00200200', 'lo'),
      row6('fe80'.padEnd(32, '0'), '40', '00000100', '00000001', 'wlan0'),
    ].join('\n');
    expect(defaultRouteInterfaces(`${routes}\n`, `${routes6}\n`)).toEqual(['enp1s0', 'wlan0', 'eth6']);
  });

  // How OpenVPN takes all traffic over without touching the default route.
  test('are not those of half of all addresses', () => {
    const routes = [
      head,
      row('tun0', '00000000', '0003', 0, '00000080'),
      row('tun0', '00000080', '0003', 0, '00000080'),
      row('eth0', '00000000', '0003', 100, '00000000'),
    ].join('\n');
    expect(defaultRouteInterfaces(routes, '')).toEqual(['eth0']);
  });

  test('are none where the system has no such table', () => {
    expect(defaultRouteInterfaces('', '')).toEqual([]);
  });
});

describe('--advertise', () => {
  test.each<[string, string, number | undefined]>([
    ['trainer.example', 'trainer.example', undefined],
    ['trainer:80', 'trainer', 80],
    ['192.168.1.7:7878', '192.168.1.7', 7878],
    ['[2001:db8::1]:7878', '2001:db8::1', 7878],
    ['[2001:db8::1]', '2001:db8::1', undefined],
    ['2001:db8::1', '2001:db8::1', undefined],
  ])('%s names a host and a port', (text, host, port) => {
    expect(parseAdvertised(text)).toEqual({ host, port });
  });

  test.each([
    '',
    'a:b:c',
    'trainer:0',
    'trainer:70000',
    'ws://trainer:1',
    '0.0.0.0',
    '[::]:80',
    '[trainer]',
    'a b',
    'x#y',
  ])('refuses %j', (text) => {
    expect(() => parseAdvertised(text)).toThrow(`--advertise ${text}: expected HOST or HOST:PORT`);
  });
});

describe('an Origin', () => {
  const own = { listenHost: '0.0.0.0', port: 7878 };

  test('with the advertised name and port is the own one', () => {
    const advertised = { host: 'Trainer.example', port: 443 };
    expect(isOwnOrigin('https://trainer.example', { ...own, advertised })).toBe(true);
    expect(isOwnOrigin('https://trainer.example:7878', { ...own, advertised })).toBe(false);
    expect(isOwnOrigin('https://trainer.example', own)).toBe(false);
    expect(isOwnOrigin('http://127.0.0.1:7878', { ...own, advertised })).toBe(true);
  });

  test('with the advertised name and the port that is listened on, where no other is advertised', () => {
    const advertised = { host: '2001:0db8::0001', port: undefined };
    expect(isOwnOrigin('http://[2001:db8::1]:7878', { ...own, advertised })).toBe(true);
    expect(isOwnOrigin('http://[2001:db8::2]:7878', { ...own, advertised })).toBe(false);
  });
});
