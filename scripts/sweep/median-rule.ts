/** Which runs are stopped early: the median stopping rule of Golovin et al., Google Vizier (KDD 2017), section 3.2.2. */
import { quantile } from '../tables/statistics.ts';
import type { StoppingRule } from './spec.ts';

/** The objective, larger is better, after each epoch from the first. */
export type Curve = readonly number[];

/**
 * Whether a run's best objective so far is below the median of the other runs' running averages at its epoch.
 *
 * - `curve`: the run's, up to its latest epoch s
 * - `others`: those of all other runs, of any length; the mean of the first s values of each that has as many counts
 *
 * Before `afterEpochs` epochs, and with fewer than `afterRuns` others to compare with, no run is below.
 */
export function isBelowMedian(
  curve: Curve,
  others: readonly Curve[],
  { afterEpochs, afterRuns }: StoppingRule,
): boolean {
  const epoch = curve.length;
  const reached = others.filter((other) => other.length >= epoch);
  if (epoch < afterEpochs || reached.length < afterRuns) return false;
  const averages = reached.map((other) => other.slice(0, epoch).reduce((sum, value) => sum + value, 0) / epoch);
  return Math.max(...curve) < quantile(averages, 0.5);
}
