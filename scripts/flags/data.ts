/** The flags of the data: where it is, how much of it a run uses, and how training images are augmented. */
import type { Option } from 'commander';
import { count, flag, probability, upTo } from './values.ts';
import { DEFAULT_RECIPE } from './recipe.ts';

export function dataFlags(): readonly Option[] {
  return [
    dataDirFlag(),
    flag('--train-samples <n>', 'use only the first n training samples').argParser(count),
    flag('--test-samples <n>', 'use only the first n test samples').argParser(count),
    flag(
      '--validation <n>',
      'hold back the last n training samples and evaluate on them, not on the test set',
    ).argParser(count),
    ...augmentationFlags(),
  ];
}

export function dataDirFlag(): Option {
  return flag('--data-dir <folder>', 'folder of the Fashion-MNIST files. Default: the usual places are searched');
}

/** Their defaults change no image. */
function augmentationFlags(): readonly Option[] {
  const recipe = DEFAULT_RECIPE;
  const odds = (flags: string, description: string, value: number) =>
    flag(flags, description).argParser(probability).default(value);
  return [
    odds('--flip-probability <p>', 'probability that a training image is mirrored', recipe.flipProbability),
    odds('--shift-probability <p>', 'probability that a training image is shifted', recipe.shiftProbability),
    flag('--shift-pixels <n>', 'largest shift in each direction, in pixels')
      .argParser(upTo(27))
      .default(recipe.shiftPixels),
    odds(
      '--erase-probability <p>',
      'probability that a rectangle of a training image is erased',
      recipe.eraseProbability,
    ),
    flag('--erase-pixels <n>', 'longest side of that rectangle, in pixels')
      .argParser(upTo(28))
      .default(recipe.erasePixels),
  ];
}
