import { describe, expect, test } from 'vitest';
import { judgeLearning } from '../../../coordinator/reporting/learning.ts';
import { MODELS } from '../../../protocol/state/models.ts';

const model = MODELS.dense;
const good = { loss: 0.5, trainAccuracy: 0.82, testLoss: 0.6, testAccuracy: 0.8, samples: 60_000, steps: 235 };

describe('a run', () => {
  test.each([
    ['better than a guess', good],
    ['with a bad start in its only epoch', { ...good, loss: 3 }],
    ['with running statistics that have not settled', { ...good, testLoss: 30, testAccuracy: 0.1 }],
    ['without test samples', { ...good, testLoss: null, testAccuracy: null }],
  ])('%s has learned', (_what, figures) => {
    expect(judgeLearning(figures, { model })).toEqual({ learned: true });
  });

  test.each([
    ['with a loss of 484', { ...good, loss: 484, trainAccuracy: 0.3, testLoss: 500, testAccuracy: 0.31 }],
    [
      'whose held-back samples cost no less',
      { ...good, loss: 4, testLoss: null, testAccuracy: null, validationLoss: 5 },
    ],
  ])('%s has not, and is told to go slower', (_what, figures) => {
    const { learned, warning } = judgeLearning(figures, { model })!;
    expect(learned).toBe(false);
    expect(warning).toMatch(
      /^the model did not learn: loss [\d.]+ \(a guess has 2\.30\).*try a smaller --learning-rate/,
    );
  });

  test('at chance has not, and is told of other rates, though its loss is below that of a guess', () => {
    const figures = { ...good, loss: 2.29, trainAccuracy: 0.102, testLoss: 2.3, testAccuracy: 0.1 };
    expect(judgeLearning(figures, { model })!.warning).toContain('try another --learning-rate');
  });

  test('of a few steps is not judged', () => {
    expect(judgeLearning({ ...good, loss: 9, testLoss: 9, steps: 9 }, { model })).toBeUndefined();
  });
});
