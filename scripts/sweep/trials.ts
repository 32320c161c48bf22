/** The trials of a sweep: all settings, each with each seed, in an order that the file alone decides. */
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { product } from '../../protocol/state/model-spec.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import { checkFlagName, checkFlags, FASHION_MNIST_SWEEP, flagName, writtenName } from './flags.ts';
import type { SweepData } from './flags.ts';
import type { Flags } from './flags.ts';
import type { Distribution, FlagValue, Objective, SweepSpec } from './spec.ts';

/** Digits of a value that was drawn: more would make tables wide and change nothing. */
const DRAWN_DIGITS = 4;

/** The generator's first values hardly depend on its seed. */
const UNMIXED_VALUES = 32;

/** Each is a run, checked and kept in memory before the first begins. */
const MOST_TRIALS = 10_000;

type Grid = Readonly<Record<string, readonly FlagValue[]>>;

/** One run. */
export interface Trial {
  /** From 1. */
  readonly number: number;
  /** From 1; the trials of one setting differ in their seeds alone. */
  readonly setting: number;
  /** What the sweep varies, without the seed. */
  readonly varied: Flags;
  readonly seed?: number;
  /** All of the run's flags. */
  readonly flags: Flags;
  /** As those flags say. */
  readonly epochs: number;
}

export interface SweepPlan {
  readonly trials: readonly Trial[];
  /** Names of the flags that are varied. */
  readonly variedNames: readonly string[];
  /** Of those, the ones whose values are best shown on a logarithmic scale. */
  readonly logNames: readonly string[];
  readonly objective: Objective;
}

/** Throws `ConfigError`, with `subject` first, where any trial's flags would be refused, and without a clear objective. */
export function planSweep(subject: string, spec: SweepSpec, data: SweepData = FASHION_MNIST_SWEEP): SweepPlan {
  const fixed = named(subject, 'flags', spec.flags);
  const grid = spec.grid && named(subject, 'grid', spec.grid);
  const space = spec.random && named(subject, 'random.space', spec.random.space);
  const variedNames = Object.keys(grid ?? space ?? {});
  const twice = variedNames.find((name) => name in fixed);
  if (twice !== undefined)
    throw new ConfigError(`${subject}: ${writtenName(twice)} is both fixed in flags and varied: leave one out`);
  if (spec.seeds && ('seed' in fixed || variedNames.includes('seed'))) {
    throw new ConfigError(`${subject}: seed is given twice, as a flag and by seeds: leave one out`);
  }
  refuseTooMany(subject, spec, grid);
  const settings = grid ? combinations(grid) : draws(space!, spec.random!.trials, spec.random!.seed);
  const trials = settings.flatMap((varied, index) =>
    (spec.seeds ?? [undefined]).map((seed): Omit<Trial, 'number' | 'epochs'> => {
      const seeded = seed === undefined ? {} : { seed };
      return { setting: index + 1, varied, ...seeded, flags: { ...fixed, ...varied, ...seeded } };
    }),
  );
  const numbered = trials.map((trial, index) => {
    const { epochs } = checkFlags(`${subject}: trial ${index + 1}`, trial.flags, data);
    return { number: index + 1, ...trial, epochs };
  });
  const logNames = variedNames.filter((name) => isLogarithmic(grid?.[name] ?? space![name]!));
  return { trials: numbered, variedNames, logNames, objective: objectiveOf(subject, spec, numbered) };
}

/** Counted before any is made: a few lists have more combinations than memory. */
function refuseTooMany(subject: string, { random, seeds = [1] }: SweepSpec, grid: Grid | undefined): void {
  const numSettings = grid ? product(Object.values(grid).map(({ length }) => length)) : random!.trials;
  const numTrials = numSettings * seeds.length;
  if (numTrials <= MOST_TRIALS) return;
  throw new ConfigError(
    `${subject}: ${countOf(numTrials, 'trial')}, expected at most ${MOST_TRIALS}: vary fewer values or seeds`,
  );
}

/** All combinations; the last flag changes first. */
export function combinations(grid: Grid): Flags[] {
  return Object.entries(grid).reduce<Flags[]>(
    (settings, [name, values]) => settings.flatMap((setting) => values.map((value) => ({ ...setting, [name]: value }))),
    [{}],
  );
}

/** `count` settings, each value independent of all others. The first ones are the same whatever `count` is. */
export function draws(space: Readonly<Record<string, Distribution>>, count: number, seed: number): Flags[] {
  const uniform = uniformFloats(seed);
  for (let i = 0; i < UNMIXED_VALUES; i++) uniform();
  const entries = Object.entries(space);
  return Array.from({ length: count }, () =>
    Object.fromEntries(entries.map(([name, distribution]) => [name, draw(distribution, uniform())])),
  );
}

/** `at`: from 0 to below 1, the place in the distribution. */
function draw(distribution: Distribution, at: number): FlagValue {
  if ('choice' in distribution) return distribution.choice[Math.floor(at * distribution.choice.length)]!;
  const [low, high] = 'log' in distribution ? distribution.log : distribution.linear;
  const value = 'log' in distribution ? low * (high / low) ** at : low + (high - low) * at;
  return Number(value.toPrecision(DRAWN_DIGITS));
}

/** A distribution says so itself; of values that are listed, the largest is ten times the smallest or more. */
function isLogarithmic(values: Distribution | readonly FlagValue[]): boolean {
  if ('log' in values || 'linear' in values) return 'log' in values;
  const numbers = ('choice' in values ? values.choice : values).filter((value) => typeof value === 'number');
  const smallest = Math.min(...numbers);
  return smallest > 0 && Math.max(...numbers) / smallest >= 10;
}

/** The same by the names that the code has for flags. */
function named<T>(subject: string, section: string, values: Readonly<Record<string, T>>): Record<string, T> {
  const byName: Record<string, T> = {};
  for (const [name, value] of Object.entries(values)) {
    const place = `${subject}: ${section}.${name}`;
    checkFlagName(place, name);
    if (flagName(name) in byName)
      throw new ConfigError(`${place}: the same flag is there by its other name: leave one out`);
    byName[flagName(name)] = value;
  }
  return byName;
}

function objectiveOf(subject: string, { objective }: SweepSpec, trials: readonly Trial[]): Objective {
  const holdsBack = ({ flags }: Trial) => flags['validation'] !== undefined;
  const chosen = objective ?? 'validationAccuracy';
  if (chosen === 'validationAccuracy' && !trials.every(holdsBack)) {
    throw new ConfigError(
      `${subject}: expected flags.validation, the number of training samples to hold back and choose by, got none: add ` +
        '"validation": 10000 to flags, as a choice by the test set makes its accuracy too good to be true; if that is ' +
        'what you want, set "objective": "testAccuracy"',
    );
  }
  if (chosen === 'testAccuracy' && trials.some(holdsBack)) {
    throw new ConfigError(
      `${subject}: expected the objective validationAccuracy with flags.validation, got testAccuracy, which such runs do ` +
        'not measure: leave one out',
    );
  }
  return chosen;
}
