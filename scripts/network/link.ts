/** Link: what joins a host to the switch of an emulated network, as flags name it: "1gbit/1ms". */
import { ConfigError } from '../../protocol/errors.ts';

export interface Link {
  /** Of each direction: links are full-duplex. */
  readonly bitsPerSecond: number;
  /** From one host through the switch to another and back, without queues. */
  readonly roundTripMs: number;
}

/** Without a rate and without a delay: what the machine itself can do. */
export const UNLIMITED: Link = { bitsPerSecond: Infinity, roundTripMs: 0 };

const UNITS = { kbit: 1e3, mbit: 1e6, gbit: 1e9 } as const;

/**
 * Parses "100mbit/20ms" or "100mbit,20ms": the rate, and the round trip. Throws `ConfigError` for anything else.
 *
 * `flagName`: the flag that gives the link.
 */
export function parseLink(text: string, flagName = '--links'): Link {
  const match = /^(?<rate>\d+(?:\.\d+)?)(?<unit>[kmg]bit)[/,](?<trip>\d+(?:\.\d+)?)ms$/.exec(text);
  const { rate, unit, trip } = match?.groups ?? {};
  const bitsPerSecond = Number(rate) * UNITS[unit as keyof typeof UNITS];
  if (!match || !(bitsPerSecond > 0)) {
    const separator = flagName === '--links' ? '/' : ',';
    const examples = `1gbit${separator}1ms or 100mbit${separator}20ms`;
    throw new ConfigError(`${flagName} ${text}: expected a rate and a round trip, such as ${examples}`);
  }
  return { bitsPerSecond, roundTripMs: Number(trip) };
}

/** "1 Gbit/s, 20 ms"; "no limit" for {@link UNLIMITED}. */
export function describeLink({ bitsPerSecond, roundTripMs }: Link): string {
  if (!Number.isFinite(bitsPerSecond)) return roundTripMs === 0 ? 'no limit' : `no limit, ${roundTripMs} ms`;
  const rate = bitsPerSecond >= 1e9 ? `${bitsPerSecond / 1e9} Gbit/s` : `${bitsPerSecond / 1e6} Mbit/s`;
  return `${rate}, ${roundTripMs} ms`;
}
