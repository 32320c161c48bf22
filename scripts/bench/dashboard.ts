/**
 * `npm run bench:dashboard`: what a step takes with the dashboard's page open, beside the same run without a dashboard. How
 * it is measured, and results: docs/results/dashboard.md.
 */
import { Command } from 'commander';
import { cpus } from 'node:os';
import { countOf } from '../../protocol/counts.ts';
import { parseCount } from '../flags/run-flags.ts';
import { parseNames } from '../flags/lists.ts';
import { runMain } from '../process.ts';
import { quantile } from '../tables/statistics.ts';
import { formatTable } from '../tables/table.ts';
import { timedRun } from './dashboard/timed-run.ts';
import type { Viewing } from './dashboard/timed-run.ts';

interface Flags {
  models: string[];
  pairs: number;
  epochs: number;
  viewing: Viewing[];
}

const command = new Command('bench:dashboard')
  .description('times steps of two local workers with the dashboard open, in pairs with runs that have none')
  .option('--models <names>', 'models', parseNames, ['dense', 'conv-pool'])
  .option('--pairs <n>', 'pairs of runs of each', parseCount, 9)
  .option('--epochs <n>', 'epochs of a run; the first is not counted', parseCount, 4)
  .option(
    '--viewing <ways>',
    'reader: a program that takes what a page is sent, as if the page were on another machine; browser: Chromium, on the same cores',
    (text: string) => parseNames(text) as Viewing[],
    ['reader', 'browser'],
  );

await runMain(async () => {
  const median = (values: readonly number[]) => quantile(values, 0.5);
  const { models, pairs, epochs, viewing } = command.parse().opts<Flags>();
  const rows: string[][] = [];
  for (const model of models) {
    for (const way of viewing) {
      const ratios: number[] = [];
      const [withPage, without]: [number[], number[]] = [[], []];
      for (let i = 0; i < pairs; i++) {
        // Which of a pair goes first alternates: neither gains from what the other leaves behind.
        const order = i % 2 === 0 ? ([way, 'none'] as const) : (['none', way] as const);
        const ms = new Map<Viewing, number>();
        for (const each of order) ms.set(each, await timedRun({ model, epochs, viewing: each }));
        withPage.push(ms.get(way)!);
        without.push(ms.get('none')!);
        ratios.push(ms.get(way)! / ms.get('none')!);
        process.stderr.write(`${model}, ${way}, pair ${i + 1}: ${ratios.at(-1)!.toFixed(3)}\n`);
      }
      const sorted = [...ratios].sort((a, b) => a - b);
      rows.push([
        ...[model, way, median(without).toFixed(2), median(withPage).toFixed(2), median(ratios).toFixed(3)],
        `${sorted[0]!.toFixed(3)} to ${sorted.at(-1)!.toFixed(3)}`,
      ]);
    }
  }
  const head = ['model', 'page', 'without, ms', 'with, ms', 'median of pairs', 'pairs'];
  const [processor] = cpus();
  process.stdout.write(`${countOf(pairs, 'pair')}, ${countOf(cpus().length, 'core')} of ${processor?.model.trim()}\n`);
  process.stdout.write(`${formatTable(head, 2, rows)}\n`);
});
