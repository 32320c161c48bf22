/** Variables of the environment by which a launcher tells a process its part in a job, read with errors that name them. */
import { ConfigError } from '../../protocol/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const LARGEST = 2 ** 31 - 1;

/** The variables of one launcher, which remember what was read for the line that is printed. */
export interface Variables {
  /** Whether it is set, and not empty. */
  has(name: string): boolean;
  text(name: string): string | undefined;
  /** A whole number from `least`. Throws `ConfigError` for anything else. */
  number(name: string, least?: number): number | undefined;
  /** The same, of a variable that the launcher always sets. Throws `ConfigError` where it is missing. */
  required(name: string, least?: number): number;
  /** All that was read and is set: "RANK=3 WORLD_SIZE=8". */
  readonly read: string;
}

/** `launcher`: for messages. `cure`: what to do where one of its variables is missing. */
export function variablesOf(environment: Environment, launcher: string, cure: string): Variables {
  const read = new Map<string, string>();
  const text = (name: string) => {
    const value = environment[name]?.trim();
    if (value === undefined || value === '') return undefined;
    read.set(name, value);
    return value;
  };
  const number = (name: string, least = 0) => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (/^\d+$/.test(value) && Number(value) >= least && Number(value) <= LARGEST) return Number(value);
    throw new ConfigError(`rank: ${name}=${value} of ${launcher}: expected a whole number from ${least}: ${cure}`);
  };
  return {
    has: (name) => (environment[name]?.trim() ?? '') !== '',
    text,
    number,
    required(name, least) {
      const value = number(name, least);
      if (value !== undefined) return value;
      throw new ConfigError(`rank: ${name} of ${launcher} is not set: ${cure}`);
    },
    get read() {
      return [...read].map(([name, value]) => `${name}=${value}`).join(' ');
    },
  };
}
