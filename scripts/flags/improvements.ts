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
    .addOption(odds('--flip-probability <p>', 'probability that a training image is mirrored', recipe.flipProbability))
    .addOption(odds('--shift-probability <p>', 'probability that a training image is shifted', recipe.shiftProbability))
    .addOption(
      flag('--shift-pixels <n>', 'the largest shift, in pixels each way')
        .argParser(upTo(27))
        .default(recipe.shiftPixels),
    )
    .addOption(
      odds(
        '--erase-probability <p>',
        'probability that a rectangle of a training image is erased',
        recipe.eraseProbability,
      ),
    )
    .addOption(
      flag('--erase-pixels <n>', 'the longest side of that rectangle, in pixels')
        .argParser(upTo(28))
        .default(recipe.erasePixels),
    )
    .addOption(
      flag(
        '--ema-decay <x>',
        'keep exponential averages of the weights, with this decay, and evaluate and write those; default: none',
      ).argParser(between0And1),
    )
    .addOption(
      flag('--ema-every <k>', 'steps from one update of those averages to the next')
        .argParser(count)
        .default(recipe.emaEvery),
    );
}
