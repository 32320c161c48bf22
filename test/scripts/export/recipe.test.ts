/** The recipe of a model card: each setting that a run recorded is there, and none that it did not. */
import { expect, test } from 'vitest';
import { describeRecipe } from '../../../scripts/export/recipe.ts';

test('every setting that changes the outcome has a row', () => {
  const rows = describeRecipe({
    epochs: 9,
    globalBatch: 128,
    microbatches: 4,
    accumulate: 2,
    localSteps: 1,
    workers: 2,
    seed: 3,
    wire: 'bf16',
    maxSteps: 100,
    optimizer: {
      ...{ name: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      ...{ clipNorm: 1, emaDecay: 0.99, emaEvery: 5 },
    },
    schedule: { name: 'step', learningRate: 0.1, warmupSteps: 20, decayEpochs: 3, decayFactor: 0.5 },
    augmentation: { flipProbability: 0, shiftProbability: 1, shiftPixels: 2, eraseProbability: 0.5, erasePixels: 1 },
    labelSmoothing: 0.1,
    trainSamples: 5000,
    validationSamples: 500,
    initFrom: { source: '/home/me/model.safetensors', sha256: 'ab' },
  });
  expect(rows).toEqual([
    ['optimizer', 'sgd, momentum 0.9, Nesterov, weight decay 0.001'],
    ['learning rate', '0.1, times 0.5 after every 3 epochs, warm-up of 20 steps'],
    ['epochs', '9'],
    ['steps at most', '100'],
    ['samples of a global batch', '128'],
    ['microbatches of a global batch', '4'],
    ['global batches of an update', '2'],
    ['gradient norm at most', '1'],
    ['average of the weights', 'decay 0.99 at every 5 steps; this model is that average'],
    ['label smoothing', '0.1'],
    [
      'augmentation',
      'shifted by up to 2 pixels with probability 1; a rectangle of up to 1 pixel a side erased with probability 0.5',
    ],
    ['training samples', 'the first 5000'],
    ['validation', 'the last 500 training samples'],
    ['began with', 'a model file with sha256 ab'],
    ['workers', '2'],
    ['gradients travel as', 'bf16'],
    ['seed', '3'],
  ]);
});

test('what is as usual, or was not recorded, has none', () => {
  expect(describeRecipe({ epochs: 1, accumulate: 1, localSteps: 1, wire: 'f32' })).toEqual([['epochs', '1']]);
});
