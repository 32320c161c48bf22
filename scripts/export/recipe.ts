/** How a model was trained, in words: what its run's configuration says, and nothing that names this machine. */
import { isIdentity } from '../../protocol/data/augmentation.ts';
import type { Augmentation } from '../../protocol/data/augmentation.ts';
import { countOf } from '../../protocol/counts.ts';
import type { ScheduleConfig } from '../../protocol/state/schedule.ts';
import type { OptimizerConfig } from '../../protocol/vectors/optimizer.ts';
import type { Recorded } from '../runs/run-summary.ts';

/** Rows of a table: what, and how. Older versions recorded less: what is missing has no row. */
export function describeRecipe(config: Recorded): [string, string][] {
  const { optimizer, schedule, globalBatch, microbatches, accumulate, localSteps, augmentation, labelSmoothing } =
    config;
  const rows: (readonly [string, string | number | undefined | false])[] = [
    ['optimizer', optimizer && describeOptimizer(optimizer)],
    ['learning rate', schedule && describeSchedule(schedule)],
    ['epochs', config.epochs],
    ['steps at most', config.maxSteps],
    ['samples of a global batch', globalBatch],
    ['microbatches of a global batch', microbatches],
    ['global batches of an update', accumulate !== 1 && accumulate],
    ['local steps between averages', localSteps !== 1 && localSteps],
    ['gradient norm at most', optimizer?.clipNorm],
    ['average of the weights', optimizer?.emaDecay !== undefined && describeAverage(optimizer)],
    ['label smoothing', labelSmoothing],
    ['augmentation', augmentation && !isIdentity(augmentation) && describeAugmentation(augmentation)],
    ['training samples', config.trainSamples !== undefined && `the first ${config.trainSamples}`],
    ['test samples', config.testSamples !== undefined && `the first ${config.testSamples}`],
    [
      'validation',
      config.validationSamples !== undefined && `the last ${countOf(config.validationSamples, 'training sample')}`,
    ],
    ['began with', config.initFrom && `a model file with sha256 ${config.initFrom.sha256}`],
    ['workers', config.workers],
    ['gradients travel as', config.wire !== 'f32' && config.wire],
    ['seed', config.seed],
  ];
  return rows.flatMap(([what, how]) => (how === undefined || how === false ? [] : [[what, String(how)]]));
}

function describeOptimizer({ name, momentum, nesterov, weightDecay, beta1, beta2, epsilon }: OptimizerConfig): string {
  const moments =
    name === 'sgd'
      ? [`momentum ${momentum}`, ...(nesterov ? ['Nesterov'] : [])]
      : [`beta1 ${beta1}`, `beta2 ${beta2}`, `epsilon ${epsilon}`];
  return [name, ...moments, `weight decay ${weightDecay}`].join(', ');
}

function describeSchedule({
  name,
  learningRate,
  warmupSteps,
  decayEpochs,
  decayFactor,
  finalFactor = 0,
}: ScheduleConfig) {
  const courses = {
    constant: 'constant',
    step: `times ${decayFactor} after every ${countOf(decayEpochs, 'epoch')}`,
    cosine: `cosine, down to ${finalFactor === 0 ? '0' : `${finalFactor} of it`}`,
  } as const satisfies Record<ScheduleConfig['name'], string>;
  const warmup = warmupSteps > 0 ? [`warm-up of ${countOf(warmupSteps, 'step')}`] : [];
  return [String(learningRate), courses[name], ...warmup].join(', ');
}

function describeAverage({ emaDecay, emaEvery = 1 }: OptimizerConfig): string {
  return `decay ${emaDecay!} at every ${emaEvery === 1 ? 'step' : countOf(emaEvery, 'step')}; this model is that average`;
}

function describeAugmentation(augmentation: Augmentation): string {
  const { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels } = augmentation;
  return [
    ...(flipProbability > 0 ? [`mirrored with probability ${flipProbability}`] : []),
    ...(shiftProbability > 0
      ? [`shifted by up to ${countOf(shiftPixels, 'pixel')} with probability ${shiftProbability}`]
      : []),
    ...(eraseProbability > 0
      ? [`a rectangle of up to ${countOf(erasePixels, 'pixel')} a side erased with probability ${eraseProbability}`]
      : []),
  ].join('; ');
}
