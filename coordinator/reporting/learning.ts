/** Whether a run has learned anything: its last epoch beside a guess. */
import type { EpochRecord } from './reporter.ts';
import type { RunConfig } from '../run-config.ts';

export interface Judgement {
  readonly learned: boolean;
  /** What the user should know, with a cure, where it has not. */
  readonly warning?: string;
}

type Figures = Pick<
  EpochRecord,
  'loss' | 'trainAccuracy' | 'testLoss' | 'testAccuracy' | 'validationLoss' | 'validationAccuracy' | 'samples' | 'steps'
>;

/** With fewer steps in its epoch a model has had no time to learn. */
const FEWEST_STEPS = 10;
/** An accuracy this many standard deviations above chance shows that the model has learned. */
const DEVIATIONS = 4;

/**
 * Judges a run by its last epoch. It has not learned where its loss is no better than that of a uniform guess,
 * ln(numClasses), or its accuracy is at chance, 1 / numClasses, within what that many samples vary by chance: both by the
 * training samples and by those that were evaluated, as the former are averaged over the epoch, and the latter may suffer
 * from running statistics that have not settled.
 *
 * Returns undefined for an epoch of fewer than 10 steps.
 */
export function judgeLearning(figures: Figures, { model }: Pick<RunConfig, 'model'>): Judgement | undefined {
  const { loss, trainAccuracy, samples, steps } = figures;
  if (steps < FEWEST_STEPS) return undefined;
  const guessedLoss = Math.log(model.numClasses);
  const chance = 1 / model.numClasses;
  const atChance = chance + DEVIATIONS * Math.sqrt((chance * (1 - chance)) / samples);
  const evaluatedLoss = figures.validationLoss ?? figures.testLoss;
  const evaluatedAccuracy = figures.validationAccuracy ?? figures.testAccuracy;
  const isNoBetter = Math.min(loss, evaluatedLoss ?? Infinity) >= guessedLoss;
  const isChance = Math.max(trainAccuracy, evaluatedAccuracy ?? 0) <= atChance;
  if (!isNoBetter && !isChance) return { learned: true };
  const evaluated = evaluatedAccuracy === null ? '' : `, ${evaluatedAccuracy.toFixed(3)} on held-back samples`;
  const cure = isNoBetter
    ? 'try a smaller --learning-rate, a warm-up (--warmup-steps), or --clip-norm 1'
    : 'try another --learning-rate, or more --epochs';
  return {
    learned: false,
    warning:
      `the model did not learn: loss ${loss.toFixed(2)} (a guess has ${guessedLoss.toFixed(2)}), accuracy ` +
      `${trainAccuracy.toFixed(3)} in training${evaluated} (a guess has ${chance.toFixed(3)}): ${cure}`,
  };
}
