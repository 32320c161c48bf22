import { describe, expect, it } from 'vitest';
import { describeLink, parseLink, UNLIMITED } from '../../../scripts/network/link.ts';
import { relayOptionsOf } from '../../../scripts/network/place.ts';
import { shapingCommands } from '../../../scripts/network/shaping.ts';

describe('a link', () => {
  it('is a rate and a round trip', () => {
    expect(parseLink('1gbit/1ms')).toEqual({ bitsPerSecond: 1e9, roundTripMs: 1 });
    expect(parseLink('2.5mbit/0.1ms')).toEqual({ bitsPerSecond: 2.5e6, roundTripMs: 0.1 });
    expect(describeLink(parseLink('100mbit/20ms'))).toBe('100 Mbit/s, 20 ms');
    expect(describeLink(parseLink('10gbit/0.1ms'))).toBe('10 Gbit/s, 0.1 ms');
    expect(describeLink(UNLIMITED)).toBe('no limit');
  });

  it.each(['1gbit', '0mbit/1ms', '1gb/1ms', '1gbit/-1ms', ''])('%j is none', (text) => {
    expect(() => parseLink(text)).toThrow(`--links ${text}: expected a rate and a round trip, such as 1gbit/1ms`);
  });

  it('limits what a device sends; where there is netem, a fourth of the round trip is spent at each of four', () => {
    const link = parseLink('100mbit/20ms');
    const rate = 'qdisc add dev link0 root handle 1: tbf rate 100000000bit burst 32768 limit 4194304';
    expect(shapingCommands('link0', link, false)).toEqual([rate]);
    expect(shapingCommands('link0', link, true)).toEqual([
      rate,
      'qdisc add dev link0 parent 1:1 netem delay 5000us limit 100000',
    ]);
    expect(shapingCommands('link0', UNLIMITED, true)).toEqual([]);
  });

  it('has a relay share out the round trip in whole milliseconds, and hold what travels in it', () => {
    const target = { host: '10.77.0.1', port: 1 };
    const slack = 8 * 2 ** 20;
    expect(relayOptionsOf(parseLink('1gbit/1ms'), target)).toEqual({
      target,
      delaysMs: { out: 1, back: 0 },
      maxHeldBytes: 125_000 + slack,
    });
    expect(relayOptionsOf(parseLink('100mbit/20ms'), target).delaysMs).toEqual({ out: 10, back: 10 });
    expect(relayOptionsOf(UNLIMITED, target)).toEqual({ target, delaysMs: { out: 0, back: 0 }, maxHeldBytes: slack });
  });
});
