/**
 * Runs the homework's table again: each model for 30 epochs, as the baseline and with two workers, beside the homework's
 * own figures. Prints Markdown, keeps the records.
 *
 *     npm run homework -- [--models dense,conv] [--epochs 30] [--out docs/results/homework]
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { EpochRecord, RunResult } from '../coordinator/reporters/reporter.ts';
import { packageVersion } from './process.ts';

const PROGRAM = fileURLToPath(new URL('../dist/scripts/cli.js', import.meta.url));
const HOMEWORK = fileURLToPath(new URL('../docs/results/homework/homework.json', import.meta.url));

/** One epoch as the homework's report gives it: epoch, loss, training accuracy, test accuracy, seconds. */
type HomeworkEpoch = [number, number, number, number, number];

interface Homework {
  readonly source: string;
  readonly models: Record<string, { readonly epochs: HomeworkEpoch[] }>;
}

/** What is kept of a run: the homework's columns for every epoch. */
interface RunSummary {
  readonly model: string;
  readonly mode: string;
  readonly engine: string;
  readonly date: string;
  readonly hardware: string;
  readonly node: string;
  readonly gradsock: string;
  readonly parametersSha256: string;
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
  const runDir = join('runs', `homework-${model}-${mode.replace(' ', '-')}-${Date.now()}`);
  const args = [...MODES[mode]!, '--model', model, '--epochs', epochs, '--run-dir', runDir];
  await new Promise<void>((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${args.join(' ')} ended with ${code}`))));
  });
  const lines = readFileSync(join(runDir, 'epochs.jsonl'), 'utf8').trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as EpochRecord);
  const result = JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult;
  const [worker] = records[0]!.workers;
  return {
    model,
    mode,
    engine: `${worker!.engine} on ${worker!.device}, ${worker!.threads} thread a worker`,
    date: new Date().toISOString().slice(0, 10),
    hardware: `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}`,
    node: process.version,
    gradsock: packageVersion(),
    parametersSha256: result.parametersSha256,
    epochs: records.map(({ epoch, loss, trainAccuracy, testAccuracy, seconds }) => {
      return [epoch, round(loss), round(trainAccuracy), round(testAccuracy ?? NaN), Math.round(seconds * 100) / 100];
    }),
  };
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
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
