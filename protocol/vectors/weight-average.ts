/**
 * Averages of the weights: an exponential moving average of parameters and buffers along a run, which generalises better than
 * the last weights do. Every replica keeps the same one, bit for bit: float32 at every operation.
 *
 * Buffers are averaged like the parameters, so the running statistics belong to the averaged weights and not to the last.
 * Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992; with a decay that grows, so that
 * the first steps do not weigh for long, as in TensorFlow's ExponentialMovingAverage.
 */
import type { OptimizerConfig } from './optimizer.ts';

export type AverageConfig = Pick<OptimizerConfig, 'emaDecay' | 'emaEvery'>;

const f = Math.fround;

/**
 * average <- average + (1 - d) (values - average) at every `emaEvery`-th step, d = min(emaDecay, (1 + t) / (10 + t)), t the
 * number of averagings so far. Does nothing at other steps.
 */
export function updateAverage(
  average: Float32Array,
  values: Float32Array,
  { emaDecay = 0, emaEvery = 1 }: AverageConfig,
  step: number,
): void {
  if (step % emaEvery !== 0) return;
  const numBefore = step / emaEvery - 1;
  const rest = f(1 - Math.min(emaDecay, (1 + numBefore) / (10 + numBefore)));
  for (let i = 0; i < average.length; i++) {
    const before = average[i]!;
    average[i] = f(before + f(rest * f(values[i]! - before)));
  }
}
