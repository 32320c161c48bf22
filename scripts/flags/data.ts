/** The flags of the data: where it is, how much of it a run uses, and how training images are augmented. */
import { InvalidArgumentError } from 'commander';
import type { Option } from 'commander';
import { DATASET_NAMES } from '../../coordinator/dataset/known-datasets.ts';
import type { ImageSize } from '../../coordinator/dataset/readers/reader.ts';
import { MAX_SIDE } from '../../protocol/data/augmentation.ts';
import { between0And1, count, flag, probability, upTo } from './values.ts';
import { DEFAULT_RECIPE } from './recipe.ts';

export function dataFlags(): readonly Option[] {
  return [
    dataFlag(),
    dataDirFlag(),
    ...readingFlags(),
    flag('--train-samples <n>', 'use only the first n training samples').argParser(count),
    flag('--test-samples <n>', 'use only the first n test samples').argParser(count),
    flag(
      '--validation <n>',
      'hold back the last n training samples and evaluate on them, not on the test set',
    ).argParser(count),
    ...augmentationFlags(),
  ];
}

function dataFlag(): Option {
  return flag(
    '--data <name|path>',
    `dataset: ${DATASET_NAMES.join(', ')}, or the path of a folder of images, of IDX or CIFAR-10 files, or of a .npz`,
  ).default('fashion-mnist');
}

export function dataDirFlag(whose = "a named dataset's"): Option {
  return flag('--data-dir <folder>', `folder of ${whose} files. Default: the usual places are searched`);
}

/** How images from a folder become a dataset. */
export function readingFlags(): readonly Option[] {
  return [
    flag('--resize <HxW>', 'height and width to which the images of a folder are resized').argParser(imageSize),
    flag('--test-fraction <f>', 'fraction of a dataset without test samples to test on, chosen by name').argParser(
      between0And1,
    ),
  ];
}

/** "28x28": height, then width. */
function imageSize(text: string): ImageSize {
  const [, height, width] = /^(\d{1,4})x(\d{1,4})$/.exec(text) ?? [];
  if (Number(height) > 0 && Number(width) > 0) return { height: Number(height), width: Number(width) };
  throw new InvalidArgumentError('Expected height and width in pixels, as in 28x28.');
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
      .argParser(upTo(MAX_SIDE))
      .default(recipe.shiftPixels),
    odds(
      '--erase-probability <p>',
      'probability that a rectangle of a training image is erased',
      recipe.eraseProbability,
    ),
    flag('--erase-pixels <n>', 'longest side of that rectangle, in pixels')
      .argParser(upTo(MAX_SIDE))
      .default(recipe.erasePixels),
  ];
}
