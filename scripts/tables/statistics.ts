/** What is made of repeated measurements: medians and quartiles, and ratios of pairs. */
import { internalError } from '../../protocol/errors.ts';

export interface Summary {
  readonly median: number;
  /** First and third quartile. */
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly min: number;
  readonly max: number;
}

/**
 * The value below which a fraction of the values lies: between neighbours in order, a straight line.
 * Source: Hyndman and Fan, Sample quantiles in statistical packages, 1996, definition 7.
 */
export function quantile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw internalError('a quantile of no values');
  const sorted = [...values].sort((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position - Math.floor(position));
}

export function summarise(values: readonly number[]): Summary {
  return {
    median: quantile(values, 0.5),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
    min: quantile(values, 0),
    max: quantile(values, 1),
  };
}

/**
 * The ratio numerator / denominator within each pair, summarised. Both of a pair were measured one right after the
 * other, so a slow spell of the machine slows both and leaves their ratio; the ratio of two medians would keep it.
 */
export function summariseRatios(pairs: readonly { numerator: number; denominator: number }[]): Summary {
  return summarise(pairs.map(({ numerator, denominator }) => numerator / denominator));
}
