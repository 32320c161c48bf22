/** The table of `npm run wire-accuracy`, and the records that it is made of. */
import { WIRE_FORMATS } from '../../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { Provenance } from '../common/cli-run.ts';

/** The last epoch of a run; accuracies are fractions. */
export interface WireFigures {
  readonly wire: WireFormat;
  readonly seed: number;
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly testAccuracy: number;
}

/** What is kept of a run. */
export interface WireRecord extends WireFigures, Provenance {
  /** The command and those of its flags that all formats and seeds share: only runs of the same ones are compared. */
  readonly settings: string;
}

const HEADINGS = [
  'model',
  'wire',
  'seeds',
  'loss',
  'train acc',
  'test acc',
  'spread, points',
  "less f32's, points",
  'by seed',
];
const NONE = '-';

/**
 * Markdown, a row for each model and format that has runs, over its seeds:
 *
 * - loss, train acc, test acc: means
 * - spread: the largest test accuracy less the smallest, in percentage points
 * - less f32's: the mean of (test accuracy - f32's test accuracy with the same seed), in percentage points, over the
 *   seeds that both have; where these are all seeds of both, it is the difference of the means
 * - by seed: the smallest and the largest of those differences
 */
export function formatWireAccuracy(models: Readonly<Record<string, readonly WireFigures[]>>): string {
  const rule = HEADINGS.map((_, column) => (column < 2 ? '---' : '---:'));
  const rows = Object.entries(models).flatMap(([model, runs]) => formatModel(model, runs));
  return [HEADINGS, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function formatModel(model: string, runs: readonly WireFigures[]): string[][] {
  const exact = new Map(runs.filter(({ wire }) => wire === 'f32').map((run) => [run.seed, run.testAccuracy]));
  return WIRE_FORMATS.flatMap((wire) => {
    const own = runs.filter((run) => run.wire === wire);
    if (own.length === 0) return [];
    const tests = own.map(({ testAccuracy }) => testAccuracy);
    const differences = own.flatMap(({ seed, testAccuracy }) => {
      const reference = exact.get(seed);
      return wire === 'f32' || reference === undefined ? [] : [testAccuracy - reference];
    });
    return [
      [
        `\`${model}\``,
        `\`${wire}\``,
        String(own.length),
        mean(own.map(({ loss }) => loss)).toFixed(4),
        mean(own.map(({ trainAccuracy }) => trainAccuracy)).toFixed(4),
        mean(tests).toFixed(4),
        (100 * (Math.max(...tests) - Math.min(...tests))).toFixed(2),
        differences.length === 0 ? NONE : formatPoints(mean(differences)),
        differences.length === 0
          ? NONE
          : `${formatPoints(Math.min(...differences))} to ${formatPoints(Math.max(...differences))}`,
      ],
    ];
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Percentage points with their sign; what rounds to nothing has none. */
function formatPoints(fraction: number): string {
  const points = (100 * fraction).toFixed(2);
  if (Number(points) === 0) return '0.00';
  return fraction > 0 ? `+${points}` : points;
}
