/**
 * `npm run bench:dashboard`: what a step takes while the dashboard's page is open, beside the same run's steps while it is not.
 * How it is measured, and results: docs/results/dashboard.md.
 */
import { cpus } from 'node:os';
import { Command } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { parseNames } from '../flags/lists.ts';
import { parseCount } from '../flags/run-flags.ts';
import { runMain } from '../process.ts';
import { formatMs, formatTable } from '../tables/table.ts';
import { quantile } from '../tables/statistics.ts';
import { toggledRun } from './dashboard/toggled-run.ts';
import type { BlockPair, Viewing } from './dashboard/toggled-run.ts';

interface Flags {
  models: string[];
  pairs: number;
  viewing: Viewing[];
}

const WAYS = ['none', 'reader', 'browser'] as const satisfies Viewing[];

const parseViewing = (text: string): Viewing[] =>
  parseNames(text).map((name) => {
    const way = WAYS.find((one) => one === name);
    if (!way) throw new ConfigError(`--viewing ${name}: expected some of ${WAYS.join(',')}`);
    return way;
  });

const command = new Command('bench:dashboard')
  .description('times steps of two local workers with the dashboard open and closed, in turn')
  .option('--models <names>', 'models', parseNames, ['dense', 'conv-pool'])
  .option('--pairs <n>', 'blocks of epochs with the page open, each between two without', parseCount, 9)
  .option('--viewing <ways>', 'who looks: nobody, a program, Chromium on the same cores', parseViewing, [...WAYS]);

await runMain(async () => {
  const { models, pairs, viewing } = command.parse().opts<Flags>();
  const rows: string[][] = [];
  for (const model of models) {
    for (const way of viewing) rows.push([model, way, ...figuresOf(await toggledRun({ model, pairs, viewing: way }))]);
  }
  const [processor] = cpus();
  const machine = `${countOf(cpus().length, 'core')} of ${processor?.model.trim() ?? 'an unknown processor'}`;
  const headings = ['model', 'page', 'closed, ms', 'open, ms', 'open / closed', 'quartiles'];
  process.stdout.write(`${countOf(pairs, 'pair')}, ${machine}\n${formatTable(headings, 2, rows)}\n`);
});

/** Medians of steps and of the pairs' ratios, and the quartiles of these. */
function figuresOf(pairs: readonly BlockPair[]): string[] {
  const median = (of: (pair: BlockPair) => number) => quantile(pairs.map(of), 0.5);
  const ratios = pairs.map(({ openMs, closedMs }) => openMs / closedMs);
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(3));
  return [
    formatMs(median(({ closedMs }) => closedMs)),
    formatMs(median(({ openMs }) => openMs)),
    middle!,
    `${low} to ${high}`,
  ];
}
