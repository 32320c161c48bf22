/** Flags that take several values, separated by commas. */
import { ConfigError } from '../../protocol/errors.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { parseCount } from './run-flags.ts';

export const parseNames = (text: string): string[] => text.split(',').filter(Boolean);

export const parseCounts = (text: string): number[] => text.split(',').map(parseCount);

/** Throws `ConfigError` for a format that is none. */
export function parseWires(text: string): WireFormat[] {
  return text.split(',').map((name) => {
    const format = WIRE_FORMATS.find((known) => known === name);
    if (!format) throw new ConfigError(`--wires ${name}: expected some of ${WIRE_FORMATS.join(',')}`);
    return format;
  });
}
