/**
 * `npm run bench:faults`: what the death of a worker costs a run in time, and what checkpoints cost its steps. How it is
 * measured, and results: docs/results/faults.md.
 */
import { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import type { ModelName } from '../../protocol/state/models.ts';
import { copyDataset } from '../network/dataset-copy.ts';
import { parseCount } from '../flags/run-flags.ts';
import { parseCounts, parseNames } from '../flags/lists.ts';
import { runMain } from '../process.ts';
import { currentLoad, readConditions } from './common/conditions.ts';
import { measureDeaths, measureStalls } from './faults/measure.ts';
import type { StallRow } from './faults/measure.ts';
import { formatFaults } from './faults/report.ts';

interface Flags {
  deaths: boolean;
  checkpoints: boolean;
  models: ModelName[];
  every: number[];
  pairs: number;
  json?: true;
  markdown?: true;
}

const models = (text: string): ModelName[] =>
  parseNames(text).map((name) => {
    const found = MODEL_NAMES.find((candidate) => candidate === name);
    if (!found) throw new ConfigError(`--models ${name}: expected some of ${MODEL_NAMES.join(',')}`);
    return found;
  });

const command = new Command('bench:faults')
  .description('times what the death of a worker and what checkpoints cost a run')
  .option('--no-deaths', 'leave out the deaths of workers')
  .option('--no-checkpoints', 'leave out the checkpoints')
  .option('--models <names>', 'for checkpoints', models, ['dense', 'conv', 'conv-pool'])
  .option('--every <n,...>', 'steps between checkpoints', parseCounts, [50])
  .option('--pairs <n>', 'runs of each kind', parseCount, 5)
  .option('--json', 'print everything measured as JSON')
  .addOption(new Option('--markdown', 'print what docs/results/faults.md shows and nothing else').conflicts('json'));

await runMain(() => main(command.parse().opts<Flags>()));

async function main({ deaths: hasDeaths, checkpoints, models, every, pairs, json, markdown }: Flags): Promise<void> {
  const log = (line: string) => {
    if (!markdown) process.stderr.write(`${line}\n`);
  };
  const conditions = readConditions();
  const dataset = await copyDataset();
  try {
    const options = { dataFolder: dataset.folder, pairs, log };
    const deaths = hasDeaths ? await measureDeaths(['SIGKILL', 'SIGSTOP'], options) : [];
    const stalls: StallRow[] = [];
    for (const model of checkpoints ? models : []) {
      for (const steps of every) stalls.push(await measureStalls(model, steps, options));
    }
    const after = { ...conditions, loadAverageAfter: currentLoad() };
    const result = { benchmark: 'faults', conditions: after, pairs, deaths, stalls } as const;
    process.stdout.write(`${json ? JSON.stringify(result, null, 2) : formatFaults(result)}\n`);
  } finally {
    dataset.remove();
  }
}
