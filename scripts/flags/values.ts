/** The values of flags: how each kind is checked, and the environment variable that every flag has. */
import { InvalidArgumentError, Option } from 'commander';
import { LIMITS } from '../../protocol/wire/limits.ts';

/** The longest that a timer can wait, in seconds: nearly 25 days. */
const LONGEST_SECONDS = Math.floor(LIMITS.longestWaitMs / 1000);

export const count = (text: string): number =>
  countable(parseNumber(text, 'a whole number from 1', (n) => Number.isInteger(n) && n >= 1));
export const index = (text: string): number =>
  countable(parseNumber(text, 'a whole number from 0', (n) => Number.isInteger(n) && n >= 0));
export const whole = (text: string): number =>
  parseNumber(text, 'a whole number below 2^31', (n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31);
export const port = (text: string): number =>
  parseNumber(text, 'a port from 1 to 65535', (n) => Number.isInteger(n) && n >= 1 && n <= 65_535);
export const upTo = (most: number) => (text: string) =>
  parseNumber(text, `a whole number from 1 to ${most}`, (n) => Number.isInteger(n) && n >= 1 && n <= most);
export const upToOrNone = (most: number) => (text: string) =>
  parseNumber(text, `a whole number from 0 to ${most}`, (n) => Number.isInteger(n) && n >= 0 && n <= most);

/** For arithmetic in float32: neither too large for it, nor so small that it is 0 there. */
export const positive = (text: string): number => float32(parseNumber(text, 'a number above 0', (n) => n > 0));
export const notNegative = (text: string): number => float32(parseNumber(text, 'a number from 0', (n) => n >= 0));
export const probability = (text: string): number => parseNumber(text, 'a number from 0 to 1', (n) => n >= 0 && n <= 1);
export const between0And1 = (text: string): number =>
  float32(parseNumber(text, 'a number above 0 and below 1', (n) => n > 0 && n < 1));
export const fraction = (text: string): number =>
  float32(parseNumber(text, 'a number from 0 to below 1', (n) => n >= 0 && n < 1));

/** Steps from A to B, as `A-B` or, of one, as `A`; returned as they are written. */
export function steps(text: string): string {
  const [, first, last = first] = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (Number.isSafeInteger(to) && from >= 1 && from <= to) return `${from}-${to}`;
  throw new InvalidArgumentError('Expected steps A-B, whole numbers from 1, A at most B.');
}

/** Ports from A to B, as `A-B` or, of one, as `A`; returned as they are written. */
export function ports(text: string): string {
  const [, from, to = from] = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (first >= 1 && first <= last && last <= 65_535) return `${first}-${last}`;
  throw new InvalidArgumentError('Expected ports A-B, whole numbers from 1 to 65535, A at most B.');
}

/** A wait that is not none; and one that may be. */
export const seconds = (text: string): number =>
  waitable(parseNumber(text, 'a number of seconds above 0', (n) => n > 0));
export const secondsOrNone = (text: string): number =>
  waitable(parseNumber(text, 'a number of seconds from 0', (n) => n >= 0));

/** A flag with its environment variable: `--global-batch` is also `$GRADSOCK_GLOBAL_BATCH`. */
export function flag(flags: string, description: string): Option {
  const name = /--([\w-]+)/.exec(flags)![1]!;
  return new Option(flags, description).env(`GRADSOCK_${name.replaceAll('-', '_').toUpperCase()}`);
}

/** Beyond 2^53 - 1 numbers skip some whole ones: nothing could be counted. */
function countable(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError(`Expected at most ${Number.MAX_SAFE_INTEGER}.`);
}

/** In float32, 1e-50 is 0, 1e50 is infinite, and 0.99999999 is 1. */
function float32(value: number): number {
  const rounded = Math.fround(value);
  const isSameKind = Number.isFinite(rounded) && (rounded === 0) === (value === 0) && (rounded < 1 || value >= 1);
  if (isSameKind) return value;
  throw new InvalidArgumentError(`Expected a number that float32 can hold, got one that is ${rounded} there.`);
}

function waitable(value: number): number {
  if (value <= LONGEST_SECONDS) return value;
  throw new InvalidArgumentError(
    `Expected at most ${LONGEST_SECONDS} seconds (24 days), the longest that a timer waits.`,
  );
}

function parseNumber(text: string, expected: string, isValid: (value: number) => boolean): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!isValid(value) || !Number.isFinite(value)) throw new InvalidArgumentError(`Expected ${expected}.`);
  return value;
}
