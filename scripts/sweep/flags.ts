/** The flags of a sweep's runs: as its file names them, as `gradsock baseline` takes them, and checked by that command. */
import { CommanderError } from 'commander';
import type { Command, Option } from 'commander';
import { checkAgainstData, checkRunConfig } from '../../coordinator/run-config.ts';
import { fashionMnistSource } from '../../coordinator/dataset/dataset-source.ts';
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { checkRunSizes } from '../../coordinator/run-sizes.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { baselineCommand } from '../commands/baseline.ts';
import { runConfigOf } from '../flags/run-flags.ts';
import type { RunFlags } from '../flags/run-flags.ts';
import { withResume } from '../flags/resume.ts';
import { workforceOf } from '../flags/worker-counts.ts';
import type { FlagValue } from './spec.ts';

/** By the name that the command's code has for each: `learningRate`. */
export type Flags = Readonly<Record<string, FlagValue>>;

/** What a sweep decides by itself. */
const OWN_FLAGS: Readonly<Record<string, string>> = {
  runDir: 'the sweep gives each run its own directory',
  resume: 'the sweep resumes its runs by itself',
  quiet: 'the sweep reads what its runs say',
  json: 'the sweep reads what its runs say',
  progressInterval: 'the sweep reads what its runs say',
};

const JOIN_TIMEOUT_SECONDS = 120;

const ONE_WORKER = workforceOf({ workers: 1 });

/** `learning-rate` and `learningRate` are one flag: `learningRate`. */
export function flagName(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** How the flag is written on a command line, without the dashes before it. */
export function writtenName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Throws `ConfigError`, with `place` in the file, for a flag that `gradsock baseline` does not have or a sweep may not set. */
export function checkFlagName(place: string, name: string): void {
  const own = OWN_FLAGS[flagName(name)];
  if (own !== undefined) throw new ConfigError(`${place}: cannot be given, ${own}: leave it out`);
  if (optionsOf(parser(), flagName(name)).length > 0) return;
  throw new ConfigError(
    `${place}: expected a flag of \`gradsock baseline\`, got ${JSON.stringify(name)}: see \`gradsock baseline --help\``,
  );
}

/** The arguments of `gradsock baseline` that say the same. Throws `ConfigError` for a value that a flag cannot have. */
export function argumentsOf(flags: Flags): string[] {
  const command = parser();
  return Object.entries(flags).flatMap(([name, value]) => {
    const options = optionsOf(command, name);
    const plain = options.find((option) => !option.negate);
    const negated = options.find((option) => option.negate);
    if (value === false && negated) return [negated.long!];
    if (typeof value !== 'boolean') {
      if (plain && !plain.isBoolean()) return [`${plain.long!}=${value}`];
      throw new ConfigError(`--${writtenName(name)}: expected true or false, got ${JSON.stringify(value)}`);
    }
    if (plain && !plain.required) return value ? [plain.long!] : [];
    if (!plain && value) return [];
    throw new ConfigError(`--${writtenName(name)}: expected a value, got ${value}`);
  });
}

/** What all runs of a sweep train on. */
export type SweepData = Pick<DatasetSource, 'name' | 'shape' | 'classes' | 'numTrainSamples'>;

export const FASHION_MNIST_SWEEP: SweepData = fashionMnistSource(undefined, () => {});

/**
 * The configuration that the flags make, checked, as they are, by the command that will get them. Throws `ConfigError`,
 * which begins with `subject`.
 */
export function checkFlags(subject: string, flags: Flags, data: SweepData): RunConfig {
  const command = parser();
  try {
    command.parse(argumentsOf(flags), { from: 'user' });
    const given = withResume(command.opts<RunFlags>(), command);
    const config = runConfigOf(given, { workforce: ONE_WORKER, joinTimeoutSeconds: JOIN_TIMEOUT_SECONDS, data });
    checkRunConfig(config);
    checkAgainstData(config, data);
    checkRunSizes(config, planModel(config.model), data.numTrainSamples);
    return config;
  } catch (error) {
    if (!(error instanceof CommanderError || error instanceof ConfigError)) throw error;
    throw new ConfigError(`${subject}: ${error.message.replace(/^error: /, '')}`);
  }
}

/** `gradsock baseline` as it checks its flags, without its action, exit and environment, which a sweep leaves out. */
function parser(): Command {
  const command = baselineCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action(() => {});
  for (const option of command.options) delete option.envVar;
  return command;
}

/** The option of that name, and the one with `--no-` before it, where there are such. */
function optionsOf(command: Command, name: string): Option[] {
  return command.options.filter((option) => option.attributeName() === name);
}

/** The environment of a sweep's runs: variables that stand for flags are left out, except for the data folder's. */
export function runEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ignored = new Set(baselineCommand().options.map(({ envVar }) => envVar));
  ignored.delete('GRADSOCK_DATA_DIR');
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !ignored.has(name)));
}
