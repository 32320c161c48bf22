/** What the all-reduce benchmark prints. */
import type { PairOf } from '../common/pairs.ts';
import { summarise, summariseRatios } from '../../tables/statistics.ts';

export interface AllReduceRow {
  readonly numFloats: number;
  readonly numWorkers: number;
  readonly description: string;
  readonly pairs: readonly PairOf[];
}

/** A table, a row a contender; the ratio is to Gloo's time in the same pair. */
export function formatAllReduce(rows: readonly AllReduceRow[]): string {
  const lines = rows.map(({ numFloats, numWorkers, description, pairs }) => {
    const ours = summarise(pairs.map((pair) => pair.ours.milliseconds));
    const faults = summarise(pairs.map((pair) => pair.ours.minorPageFaults)).median;
    const both = pairs.flatMap(({ ours: { milliseconds }, peer }) =>
      peer ? [{ numerator: milliseconds, denominator: peer.milliseconds }] : [],
    );
    const gloo = both.length > 0 ? summarise(both.map(({ denominator }) => denominator)).median.toFixed(2) : '-';
    const ratio = both.length > 0 ? summariseRatios(both) : undefined;
    const ratioText = ratio ? ratio.median.toFixed(2) : '-';
    const quartiles = ratio ? `${ratio.lowerQuartile.toFixed(2)} to ${ratio.upperQuartile.toFixed(2)}` : '-';
    const cells = [
      numFloats,
      numWorkers,
      description,
      ours.median.toFixed(2),
      gloo,
      ratioText,
      quartiles,
      faults.toFixed(0),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = ['floats', 'workers', 'all-reduce', 'ms', 'Gloo, ms', 'ours / Gloo', 'quartiles', 'page faults'];
  const ruler = head.map((_, column) => (column === 2 ? '---' : '---:'));
  return [`| ${head.join(' | ')} |`, `| ${ruler.join(' | ')} |`, ...lines].join('\n');
}
