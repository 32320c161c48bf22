/**
 * Recipes: how a model is trained, as plain data. Every value is the default of a flag, and a flag that is given overrides
 * it.
 *
 * `homework` is the plain setting whose training curves follow the homework's, for every model alike. `best` is what a
 * search on held-back training samples found for each model; the files that it was searched with are in `docs/results/data/recipes`.
 */
import type { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import type { OptimizerName } from '../../protocol/vectors/optimizer.ts';
import type { ScheduleName } from '../../protocol/state/schedule.ts';

/** The flags that a recipe sets. */
export interface Recipe {
  readonly epochs: number;
  readonly globalBatch: number;
  readonly optimizer: OptimizerName;
  readonly learningRate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly schedule: ScheduleName;
  readonly warmupSteps: number;
  readonly finalFactor: number;
  readonly labelSmoothing: number;
  readonly flipProbability: number;
  readonly shiftProbability: number;
  readonly shiftPixels: number;
  readonly eraseProbability: number;
  readonly erasePixels: number;
  readonly emaDecay?: number;
  readonly emaEvery: number;
}

const HOMEWORK = {
  epochs: 30,
  globalBatch: 256,
  optimizer: 'sgd',
  learningRate: 0.02,
  momentum: 0.9,
  nesterov: false,
  weightDecay: 0,
  schedule: 'constant',
  warmupSteps: 0,
  finalFactor: 0,
  labelSmoothing: 0,
  flipProbability: 0,
  shiftProbability: 0,
  shiftPixels: 1,
  eraseProbability: 0,
  erasePixels: 8,
  emaEvery: 8,
} satisfies Recipe;

/** What the best recipes have in common, except for single values. */
const ADAMW = {
  ...HOMEWORK,
  optimizer: 'adamw',
  schedule: 'cosine',
  warmupSteps: 200,
  flipProbability: 0.1,
  emaDecay: 0.98,
} satisfies Recipe;

const DENSE = {
  ...ADAMW,
  globalBatch: 512,
  learningRate: 0.0042,
  weightDecay: 0.05,
  shiftProbability: 0.35,
} satisfies Recipe;

const CONV = {
  ...ADAMW,
  learningRate: 0.0026,
  weightDecay: 0.22,
  shiftProbability: 1,
  eraseProbability: 0.3,
} satisfies Recipe;

const CONV_POOL = {
  ...ADAMW,
  learningRate: 0.009,
  weightDecay: 0.05,
  flipProbability: 0.12,
  shiftProbability: 0.75,
} satisfies Recipe;

const BEST: Readonly<Record<string, Recipe>> = {
  dense: DENSE,
  conv: CONV,
  'conv-matched': CONV,
  'conv-pool': CONV_POOL,
  'conv-pool-matched': CONV_POOL,
};

export const RECIPE_NAMES = ['homework', 'best'] as const;
export type RecipeName = (typeof RECIPE_NAMES)[number];

/** What flags are when neither they nor `--recipe` are given. */
export const DEFAULT_RECIPE = HOMEWORK;

/** Throws `ConfigError` for a model that nothing was searched for. */
export function recipeOf(name: RecipeName, model: string): Recipe {
  if (name === 'homework') return HOMEWORK;
  if (Object.hasOwn(BEST, model)) return BEST[model]!;
  throw new ConfigError(
    `--recipe best: expected --model ${Object.keys(BEST).join(', ')}, got ${model}: give the values themselves by flags`,
  );
}

/** Where a flag's value came from, when a recipe that was asked for set it. */
export const RECIPE_SOURCE = 'recipe';

/**
 * The flags with the values of the recipe that was asked for, where the command line and the environment give none. The
 * recipe is that for `model`. Default: the flags' own model.
 */
export function withRecipe<F extends { readonly model: string; readonly recipe: RecipeName }>(
  flags: F,
  command: Command,
  model = flags.model,
): F {
  if (command.getOptionValueSource('recipe') === 'default') return flags;
  for (const [name, value] of Object.entries(recipeOf(flags.recipe, model))) {
    if (!['default', undefined].includes(command.getOptionValueSource(name))) continue;
    command.setOptionValueWithSource(name, value, RECIPE_SOURCE);
  }
  return { ...flags, ...command.opts<F>() };
}
