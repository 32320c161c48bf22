/** Charts as SVG, runs side by side, and the list of runs: what they say. */
import { expect, test } from 'vitest';
import { chartsFile, fluidSvg, ticksOf } from '../../../../coordinator/dashboard/page/chart-svg.ts';
import type { ChartSpec } from '../../../../coordinator/dashboard/page/chart-spec.ts';
import { comparisonCharts, scalingOf } from '../../../../coordinator/dashboard/page/comparison-charts.ts';
import { withImages } from '../../../../coordinator/dashboard/page/report-figures.ts';
import {
  NEWEST_FIRST,
  orderAfter,
  RUN_COLUMNS,
  searchRuns,
  sortRuns,
} from '../../../../coordinator/dashboard/page/run-list-facts.ts';
import type { ComparedRun } from '../../../../coordinator/dashboard/runs-messages.ts';

const run = (name: string, changes: Partial<ComparedRun> = {}): ComparedRun => ({
  ...{ name, model: 'conv', data: 'fashion-mnist', recipe: 'sgd 0.02 constant', state: 'completed' },
  ...{ epochs: 2, plannedEpochs: 2, bestAccuracy: 0.9, lastAccuracy: 0.9, loss: 0.3, seconds: 20 },
  ...{ workers: 1, samplesPerSecond: 1000, startedAt: '2026-11-29T10:00:00.000Z' },
  curves: { epochs: [1, 2], seconds: [10, 20], loss: [0.5, 0.3], accuracy: [0.8, null] },
  ...changes,
});

const chart: ChartSpec = {
  ...{ id: 'loss', title: 'A <b> & c', description: '', x: [0, 1, 2], isStacked: false, fromZero: true },
  series: [{ label: '"quoted" <i>', colour: 'blue', style: 'line', values: [1, null, 2] }],
  format: String,
  tick: (value) => `<${value}>`,
};

test('an SVG has no markup of what it shows', () => {
  for (const svg of [fluidSvg(chart), chartsFile([chart], { title: '</svg><script>' })]) {
    expect(svg).not.toMatch(/<b>|<i>|<script|<\d/);
    expect(svg).not.toContain('NaN');
  }
  // 0 at the left and 2 at the right of the range; a gap is bridged.
  expect(fluidSvg(chart)).toMatch(/d="M0 [\d.]+L1000 [\d.]+"/);
});

test('bands lie upon each other', () => {
  const bands: ChartSpec = {
    ...chart,
    x: [0, 1],
    isStacked: true,
    series: [
      { label: 'a', colour: 'blue', style: 'line', values: [1, 1] },
      { label: 'b', colour: 'red', style: 'line', values: [1, 3] },
    ],
  };
  const [lower, upper] = [...fluidSvg(bands).matchAll(/class="band \w+" d="([^"]+)"/g)].map(([, d]) => d!);
  const pointsOf = (d: string) => d.slice(1, -1).split('L');
  // The upper edge of the lower band is the lower edge of the upper band.
  expect(pointsOf(upper!).slice(2).reverse()).toEqual(pointsOf(lower!).slice(0, 2));
});

test('ticks are round and within the range', () => {
  expect(ticksOf([0, 4], 8)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]);
  expect(ticksOf([0.31, 0.52], 5).map((tick) => tick.toFixed(2))).toEqual(['0.35', '0.40', '0.45', '0.50']);
});

test('curves of runs are over epochs, or over time', () => {
  const runs = [run('a'), run('b', { curves: { epochs: [1], seconds: [5], loss: [0.4], accuracy: [0.7] } })];
  const [loss, accuracy] = comparisonCharts({ runs }, 'epochs');
  expect(loss).toMatchObject({ x: [1, 2], series: [{ values: [0.5, 0.3] }, { values: [0.4, null] }] });
  expect(accuracy).toMatchObject({ x: [1], series: [{ values: [0.8] }, { values: [0.7] }] });
  expect(comparisonCharts({ runs }, 'seconds')[0]).toMatchObject({ x: [5, 10, 20] });
});

test('efficiency is throughput by worker, against the fewest workers', () => {
  const runs = [
    run('four', { workers: 4, samplesPerSecond: 3000 }),
    run('one'),
    run('idle', { samplesPerSecond: null }),
  ];
  expect(scalingOf(runs)).toEqual([
    { name: 'one', workers: 1, samplesPerSecond: 1000, speedup: 1, efficiency: 1 },
    { name: 'four', workers: 4, samplesPerSecond: 3000, speedup: 3, efficiency: 0.75 },
  ]);
  expect(scalingOf([run('a'), run('b')])).toEqual([]);
  expect(scalingOf([run('a'), run('b', { workers: 2, model: 'dense' })])).toEqual([]);
});

test('runs are found by words, and sorted by any column, those without a value last', () => {
  const runs = [run('b-2'), run('a', { loss: null, startedAt: null, model: 'dense' }), run('b-10', { loss: 0.1 })];
  expect(searchRuns(runs, ' DENSE compl').map(({ name }) => name)).toEqual(['a']);
  expect(searchRuns(runs, '')).toHaveLength(3);
  const column = (by: string) => RUN_COLUMNS.find(({ name }) => name === by)!;
  const byLoss = orderAfter(NEWEST_FIRST, column('loss'));
  expect(sortRuns(runs, byLoss).map(({ name }) => name)).toEqual(['b-10', 'b-2', 'a']);
  expect(sortRuns(runs, orderAfter(byLoss, column('loss'))).map(({ name }) => name)).toEqual(['b-2', 'b-10', 'a']);
  expect(sortRuns(runs, orderAfter(NEWEST_FIRST, column('name'))).map(({ name }) => name)).toEqual([
    'a',
    'b-2',
    'b-10',
  ]);
  expect(sortRuns(runs, NEWEST_FIRST).at(-1)!.name).toBe('a');
});

test('images of a report are those of the worst samples, as far as there is room', () => {
  const cell = (label: number, worst: readonly number[]) => ({
    ...{ label, predicted: 0, numSamples: worst.length, worst },
    losses: worst.map((index) => index / 10),
  });
  const confusion = { epoch: 1, split: 'test' as const, numSamples: 30, cells: [cell(0, [1, 2, 3]), cell(1, [4, 5])] };
  const large = withImages(confusion, () => 'x'.repeat(250_000));
  // The worst of each cell comes first.
  expect(large.images.map(([index]) => index)).toEqual([1, 4]);
  expect(large.confusion.cells.map(({ worst, losses }) => [worst, losses])).toEqual([
    [[1], [0.1]],
    [[4], [0.4]],
  ]);
  expect(withImages({ ...confusion, cells: [cell(0, [...Array(20).keys()])] }, String).images).toHaveLength(8);
  expect(withImages(confusion).images[0]).toEqual([1, null]);
});
