/** The flags of what makes a model do better on images that it has not seen. */
import type { Command } from 'commander';
import { between0And1, count, flag, fraction, probability, upTo } from './values.ts';
import { DEFAULT_RECIPE } from './recipe.ts';

/** Adds them to a command; their defaults change nothing. */
export function addImprovementFlags(command: Command): Command {
  const recipe = DEFAULT_RECIPE;
  const odds = (flags: string, description: string, value: number) =>
    flag(flags, description).argParser(probability).default(value);
  return command
    .addOption(
      flag('--label-smoothing <x>', 'the part of each target that is spread over all classes')
        .argParser(fraction)
        .default(recipe.labelSmoothing),
    )
    .addOption(odds('--flip-probability <p>', 'of a training image to be mirrored', recipe.flipProbability))
    .addOption(odds('--shift-probability <p>', 'of a training image to be shifted', recipe.shiftProbability))
    .addOption(
      flag('--shift-pixels <n>', 'the most that it is, each way').argParser(upTo(27)).default(recipe.shiftPixels),
    )
    .addOption(odds('--erase-probability <p>', 'of a rectangle of it to be erased', recipe.eraseProbability))
    .addOption(flag('--erase-pixels <n>', 'the longest side of that').argParser(upTo(28)).default(recipe.erasePixels))
    .addOption(
      flag(
        '--ema-decay <x>',
        'keep averages of the weights that decay so, and evaluate and write those; none when left out',
      ).argParser(between0And1),
    )
    .addOption(flag('--ema-every <k>', 'steps between averagings').argParser(count).default(recipe.emaEvery));
}
