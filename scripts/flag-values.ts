/** The values of flags: how each kind is checked, and the environment variable that every flag has. */
import { InvalidArgumentError, Option } from 'commander';

export const count = (text: string): number =>
  parseNumber(text, 'a whole number from 1', (n) => Number.isInteger(n) && n >= 1);
export const index = (text: string): number =>
  parseNumber(text, 'a whole number from 0', (n) => Number.isInteger(n) && n >= 0);
export const whole = (text: string): number =>
  parseNumber(text, 'a whole number below 2^31', (n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31);
export const positive = (text: string): number => parseNumber(text, 'a number above 0', (n) => n > 0);
export const notNegative = (text: string): number => parseNumber(text, 'a number from 0', (n) => n >= 0);
export const probability = (text: string): number => parseNumber(text, 'a number from 0 to 1', (n) => n >= 0 && n <= 1);
export const upTo = (most: number) => (text: string) =>
  parseNumber(text, `a whole number from 1 to ${most}`, (n) => Number.isInteger(n) && n >= 1 && n <= most);
export const between0And1 = (text: string): number =>
  parseNumber(text, 'a number above 0 and below 1', (n) => n > 0 && n < 1);
export const fraction = (text: string): number =>
  parseNumber(text, 'a number from 0 to below 1', (n) => n >= 0 && n < 1);

/** A flag with its environment variable: `--global-batch` is also `$GRADSOCK_GLOBAL_BATCH`. */
export function flag(flags: string, description: string): Option {
  const name = /--([\w-]+)/.exec(flags)![1]!;
  return new Option(flags, description).env(`GRADSOCK_${name.replaceAll('-', '_').toUpperCase()}`);
}

function parseNumber(text: string, expected: string, isValid: (value: number) => boolean): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!isValid(value) || !Number.isFinite(value)) throw new InvalidArgumentError(`Expected ${expected}.`);
  return value;
}
