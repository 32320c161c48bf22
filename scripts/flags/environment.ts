/**
 * What environment variables mean for a command's flags, whichever the command: an empty variable is an unset one, and a
 * flag without a value is on or off by its variable's words. Commander itself takes any value, even "false", for on.
 */
import type { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';

const ON = ['true', '1', 'yes', 'on'];
const OFF = ['false', '0', 'no', 'off'];

/**
 * Has every command below `program` read its variables by these rules, before it is parsed. Variables that are empty or
 * say "off" are taken out of `environment`, which commander reads.
 *
 * The command that is run then throws `ConfigError` for a variable of a flag without a value that is neither on nor off.
 */
export function readVariablesOf(program: Command, environment: NodeJS.ProcessEnv = process.env): void {
  program.hook('preSubcommand', (_, command) => {
    for (const option of command.options) readVariable(command, option, environment);
  });
  for (const command of program.commands) readVariablesOf(command, environment);
}

function readVariable(command: Command, option: Option, environment: NodeJS.ProcessEnv): void {
  const { envVar, negate } = option;
  const value = envVar === undefined ? undefined : environment[envVar];
  if (envVar === undefined || value === undefined) return;
  const isEmpty = value.trim() === '';
  if (!isEmpty && (takesValue(option) || isOn(envVar, value))) return;
  Reflect.deleteProperty(environment, envVar);
  // Said, and not merely unset: it has priority over what a recipe would set.
  if (!isEmpty) command.setOptionValueWithSource(option.attributeName(), negate, 'env');
}

/** Commander's own `isBoolean` is false for `--no-` flags. */
const takesValue = ({ required, optional }: Option): boolean => required || optional;

function isOn(variable: string, value: string): boolean {
  const word = value.trim().toLowerCase();
  if (ON.includes(word)) return true;
  if (OFF.includes(word)) return false;
  const [on, off] = [ON.join(', '), OFF.join(', ')];
  throw new ConfigError(
    `$${variable}: expected ${on} for on or ${off} for off, got ${JSON.stringify(value)}: unset it for the default`,
  );
}
