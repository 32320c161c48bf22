/**
 * Runs the homework's table again: each model for 30 epochs, as the baseline and with two workers, beside the homework's
 * own figures. Prints Markdown, keeps the records.
 *
 *     npm run homework -- [--models dense,conv] [--epochs 30] [--out docs/results/homework]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { figuresOf, provenanceOf, runCli } from './cli-run.ts';
import type { Provenance } from './cli-run.ts';

const HOMEWORK = fileURLToPath(new URL('../docs/results/homework/homework.json', import.meta.url));

/** One epoch as the homework's report gives it: epoch, loss, training accuracy, test accuracy, seconds. */
type HomeworkEpoch = [number, number, number, number, number];

interface Homework {
  readonly source: string;
  readonly models: Record<string, { readonly epochs: HomeworkEpoch[] }>;
}

/** What is kept of a run: the homework's columns for every epoch. */
interface RunSummary extends Provenance {
  readonly model: string;
  readonly mode: string;
  readonly epochs: HomeworkEpoch[];
}

const MODES: Record<string, readonly string[]> = {
  baseline: ['baseline'],
  'two workers': ['train', '--workers', '2'],
};

interface Flags {
  models: string;
  epochs: string;
  out: string;
}

const { models, epochs, out } = new Command('homework')
  .option('--models <names>', 'which models', 'dense,conv,conv-pool')
  .option('--epochs <n>', 'epochs of each run', '30')
  .option('--out <folder>', 'where the records are kept', 'docs/results/homework')
  .parse()
  .opts<Flags>();

const homework = JSON.parse(readFileSync(HOMEWORK, 'utf8')) as Homework;
mkdirSync(out, { recursive: true });
for (const model of models.split(',')) {
  for (const mode of Object.keys(MODES)) {
    const path = join(out, `${model}-${mode.replace(' ', '-')}.json`);
    writeFileSync(path, `${JSON.stringify(await runOnce(model, mode), undefined, 1)}\n`);
  }
}
process.stdout.write(table());

async function runOnce(model: string, mode: string): Promise<RunSummary> {
  const name = `homework-${model}-${mode.replace(' ', '-')}`;
  const run = await runCli(name, [...MODES[mode]!, '--model', model, '--epochs', epochs]);
  return {
    model,
    mode,
    ...provenanceOf(run),
    epochs: run.epochs.map((record) => {
      const { loss, trainAccuracy, testAccuracy } = figuresOf(record);
      return [record.epoch, loss, trainAccuracy, testAccuracy, Math.round(record.seconds * 100) / 100];
    }),
  };
}

/** The table of all records that are there, in Markdown. */
function table(): string {
  const rows = [
    '| model | run | loss | train acc | test acc | best test acc | s/epoch | total |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const [model, { epochs: theirs }] of Object.entries(homework.models)) {
    rows.push(row(model, 'homework, one GPU', theirs));
    for (const mode of Object.keys(MODES)) {
      const path = join(out, `${model}-${mode.replace(' ', '-')}.json`);
      if (existsSync(path)) rows.push(row(model, mode, (JSON.parse(readFileSync(path, 'utf8')) as RunSummary).epochs));
    }
  }
  return `${rows.join('\n')}\n`;
}

function row(model: string, run: string, all: HomeworkEpoch[]): string {
  const [epoch, loss, trainAccuracy, testAccuracy] = all.at(-1)!;
  const seconds = all.reduce((sum, [, , , , s]) => sum + s, 0);
  const best = Math.max(...all.map(([, , , test]) => test));
  const figures = [loss.toFixed(4), trainAccuracy.toFixed(3), testAccuracy.toFixed(3), best.toFixed(3)];
  const times = [(seconds / epoch).toFixed(1), `${seconds.toFixed(0)} s`];
  return `| ${[`\`${model}\``, run, ...figures, ...times].join(' | ')} |`;
}
