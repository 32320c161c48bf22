/**
 * Between the options of a library call and the flags of a command: the same names, in camel case, the same checks and the
 * same defaults. What a command was given it hands to the library as options, and there they are flags again.
 */
import { InvalidArgumentError } from 'commander';
import type { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { ourNameOf } from './suggestions.ts';

/** Flags that speak of a terminal, which a library has none of. */
const OF_TERMINAL: readonly string[] = ['quiet', 'json', 'progressInterval', 'joinStdin', 'endWithStdin'];

/**
 * What the command line and the environment say, without defaults. `own`: flags of the command's own, which the library does
 * not have.
 */
export function optionsGiven<F extends object, K extends keyof F & string>(
  command: Command,
  ...own: readonly K[]
): Partial<Omit<F, K>> {
  const isGiven = (name: string) => !['default', undefined].includes(command.getOptionValueSource(name));
  const flags = Object.entries(command.opts<Record<string, unknown>>());
  const given = flags.filter(([name]) => isGiven(name) && !own.some((other) => other === name));
  return Object.fromEntries(given) as Partial<Omit<F, K>>;
}

/**
 * The flags of the command line, without those of the environment, as arguments for another process. `own`: flags that the
 * other process is not to have.
 */
export function argumentsGiven(command: Command, ...own: readonly string[]): string[] {
  return Object.entries(command.opts<Record<string, unknown>>()).flatMap(([name, value]) => {
    if (command.getOptionValueSource(name) !== 'cli' || own.includes(name)) return [];
    const option = command.options.find(
      (candidate) => candidate.attributeName() === name && candidate.negate === (value === false),
    );
    if (!option) return [];
    return [typeof value === 'boolean' ? option.long! : `${option.long!}=${String(value)}`];
  });
}

/**
 * Sets the flags of `command` as if its command line had said `options`, whose undefined values count as not given. The
 * environment's variables are not read.
 *
 * Throws `ConfigError`, which names the option, for one that the command does not have, and for a value that is none.
 */
export function setFlags(command: Command, options: object): void {
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value === undefined) continue;
    const option = command.options.find((candidate) => candidate.attributeName() === name);
    if (!option || OF_TERMINAL.includes(name)) throw unknownOption(name, command);
    command.setOptionValueWithSource(name, checkedValue(option, value), 'cli');
  }
}

function checkedValue(option: Option, value: unknown): unknown {
  const refusal = (expected: string) =>
    new ConfigError(`${option.attributeName()}: expected ${expected}, got ${shown(value)}`);
  if (!option.required && !option.optional) {
    if (typeof value !== 'boolean') throw refusal('true or false');
    return value;
  }
  if (option.argChoices) {
    if (option.argChoices.some((choice) => choice === value)) return value;
    throw refusal(option.argChoices.join(', '));
  }
  if (!option.parseArg) {
    if (typeof value === 'string') return value;
    throw refusal('a text');
  }
  try {
    return option.parseArg<unknown>(textOf(value), undefined);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw refusal(error.message.replace(/^Expected /, '').replace(/\.$/, ''));
  }
}

/** As a command line has it; empty, which no flag with a check takes, for what cannot be there. */
function textOf(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'string') return String(value);
  if (typeof value !== 'object' || value === null || !('height' in value) || !('width' in value)) return '';
  return `${String(value.height)}x${String(value.width)}`;
}

function unknownOption(name: string, command: Command): ConfigError {
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const ours = ourNameOf(flag);
  const found = command.options.find(({ long }) => long === ours);
  const cure = found ? `use ${found.attributeName()}` : `docs/reference/cli.md lists the flags, whose names they have`;
  return new ConfigError(`${command.name()}: no option is called ${name}: ${cure}`);
}

const MOST_SHOWN = 60;

function shown(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) as string | undefined);
  return (text ?? typeof value).slice(0, MOST_SHOWN);
}
