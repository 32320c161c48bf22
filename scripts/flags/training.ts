/** The flags of the training itself: the optimizer, the schedule of its learning rate, and the loss. */
import type { Option } from 'commander';
import { between0And1, count, flag, fraction, index, notNegative, positive, probability, whole } from './values.ts';
import { DEFAULT_RECIPE } from './recipe.ts';

/** The common ones first. */
export function trainingFlags(): readonly Option[] {
  const recipe = DEFAULT_RECIPE;
  return [
    flag('--epochs <n>', 'passes over the training samples').argParser(count).default(recipe.epochs),
    flag('--global-batch <n>', 'samples per global batch, over all workers')
      .argParser(count)
      .default(recipe.globalBatch),
    flag('--learning-rate <x>', 'learning rate').argParser(positive).default(recipe.learningRate),
    flag('--optimizer <name>', 'optimizer').choices(['sgd', 'adam', 'adamw']).default(recipe.optimizer),
    flag('--momentum <x>', 'momentum of sgd').argParser(fraction).default(recipe.momentum),
    flag('--nesterov', 'Nesterov momentum').default(recipe.nesterov),
    flag('--weight-decay <x>', 'weight decay of every parameter').argParser(notNegative).default(recipe.weightDecay),
    ...scheduleFlags(),
    flag('--seed <n>', 'seed of the initial weights and the order of samples').argParser(whole).default(1),
    flag('--clip-norm <x>', 'largest L2 norm of a gradient; a longer one is scaled down. Default: no limit').argParser(
      positive,
    ),
    flag('--label-smoothing <x>', 'part of each target that is spread over all classes')
      .argParser(fraction)
      .default(recipe.labelSmoothing),
    flag(
      '--ema-decay <x>',
      'decay of an exponential moving average of the weights, which is evaluated and written. Default: no average',
    ).argParser(between0And1),
    flag('--ema-every <k>', 'steps between updates of that average').argParser(count).default(recipe.emaEvery),
    flag('--beta1 <x>', "decay of adam's first moment").argParser(fraction).default(0.9),
    flag('--beta2 <x>', "decay of adam's second moment").argParser(fraction).default(0.999),
    flag('--epsilon <x>', "constant in adam's divisor").argParser(positive).default(1e-8),
    flag('--accumulate <k>', 'global batches whose gradients are averaged into one update').argParser(count).default(1),
    flag('--max-steps <n>', 'steps after which the run ends; 0 writes the initial model').argParser(index),
  ];
}

/** What `learningRateAt` of `protocol/state/schedule.ts` goes by, except the rate itself. */
function scheduleFlags(): readonly Option[] {
  const { schedule, finalFactor } = DEFAULT_RECIPE;
  return [
    flag('--schedule <name>', 'learning-rate schedule').choices(['constant', 'step', 'cosine']).default(schedule),
    flag('--warmup-steps <n>', 'steps in which the learning rate rises to its value').argParser(index).default(0),
    flag('--decay-epochs <n>', 'step schedule: epochs between decays').argParser(count).default(10),
    flag('--decay-factor <x>', 'step schedule: factor of each decay').argParser(positive).default(0.1),
    flag('--final-factor <x>', 'cosine schedule: last learning rate as a part of the first')
      .argParser(probability)
      .default(finalFactor),
  ];
}
