/**
 * Makes the homework's table again: each model for 30 epochs by a recipe, as the baseline and with two workers, from several
 * seeds, beside the homework's own figures. Prints Markdown, keeps the records and the curves; a run that has its record
 * is not run again.
 *
 *     npm run homework                                          # the best recipes, 5 seeds: about half an hour
 *     npm run homework -- --recipe homework --seeds 1           # as the homework itself trained
 *     npm run homework -- --models conv --modes baseline --seeds 1,2
 *     npm run homework -- --table                               # the tables of all records, without a run
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import { figuresOf, provenanceOf, runCli } from './common/cli-run.ts';
import { drawHomeworkCurves } from './homework/curves.ts';
import { meanBreakdown, MODES, readRuns, writeRuns } from './homework/records.ts';
import type { Homework, Mode, RunRecord, Series } from './homework/records.ts';
import { formatHomeworkTable, formatTimeTable, homeworkRow } from './homework/table.ts';
import type { TableRow } from './homework/table.ts';
import { RECIPE_NAMES, recipeOf } from '../flags/recipe.ts';
import type { RecipeName } from '../flags/recipe.ts';

const HOMEWORK = fileURLToPath(new URL('../../docs/results/data/homework/homework.json', import.meta.url));

interface Flags {
  recipe: RecipeName;
  models: string[];
  modes: string[];
  seeds: string[];
  out: string;
  table: boolean;
}

const list = (text: string): string[] => text.split(',');

const flags = new Command('homework')
  .addOption(new Option('--recipe <name>', 'how to train').choices(RECIPE_NAMES).default('best'))
  .option('--models <names>', 'which models to run', list, ['dense', 'conv', 'conv-pool'])
  .option('--modes <names>', `of ${Object.keys(MODES).join(', ')}`, list, Object.keys(MODES))
  .option('--seeds <numbers>', 'which seeds', list, ['1', '2', '3', '4', '5'])
  .option('--out <folder>', 'where the records are kept', 'docs/results/data/homework')
  .option('--table', 'run nothing', false)
  .parse()
  .opts<Flags>();

const homework = JSON.parse(readFileSync(HOMEWORK, 'utf8')) as Homework;
mkdirSync(flags.out, { recursive: true });
if (!flags.table) {
  for (const seed of flags.seeds) {
    for (const model of flags.models) {
      for (const mode of flags.modes) await runUnlessKept({ recipe: flags.recipe, model, mode: mode as Mode }, seed);
    }
  }
}
const rows = rowsOf(MODEL_NAMES);
const compared = rows.filter(({ model }) => model in homework.models);
await writeFileAtomically(join(flags.out, 'curves.svg'), drawHomeworkCurves(compared));
process.stdout.write(`${formatHomeworkTable(rows)}\n\n${formatTimeTable(rows)}\n`);

async function runUnlessKept(series: Series, seed: string): Promise<void> {
  const { recipe, model, mode } = series;
  const runs = readRuns(flags.out, series, settingsOf(series));
  if (runs.some((run) => run.seed === Number(seed))) return;
  process.stderr.write(`${recipe}, ${model}, ${mode}, seed ${seed}\n`);
  const name = `homework-${recipe}-${model}-${mode.replace(' ', '-')}-${seed}`;
  const args = [...MODES[mode], '--model', model, '--recipe', recipe, '--seed', seed, '--quiet'];
  const run = await runCli(name, args);
  const record: RunRecord = {
    seed: Number(seed),
    settings: settingsOf(series),
    ...provenanceOf(run),
    seconds: Math.round(run.result.seconds * 10) / 10,
    epochs: run.epochs.map((epoch) => {
      const { loss, trainAccuracy, testAccuracy } = figuresOf(epoch);
      return [epoch.epoch, loss, trainAccuracy, testAccuracy, Math.round(epoch.seconds * 1000) / 1000];
    }),
    breakdown: meanBreakdown(run.epochs),
  };
  await writeRuns(flags.out, series, [...runs, record]);
}

/** All that there are of each model: the homework's, then of each recipe the modes. */
function rowsOf(models: readonly string[]): TableRow[] {
  return models.flatMap((model) => {
    const series = RECIPE_NAMES.flatMap((recipe) =>
      Object.keys(MODES).map((mode) => ({ recipe, model, mode: mode as Mode })),
    );
    const ours = series.map((one) => ({
      model,
      run: `${one.recipe === 'best' ? '`--recipe best`' : "the homework's setting"}, ${one.mode}`,
      runs: readRuns(flags.out, one, settingsOf(one)),
    }));
    const theirs = homework.models[model];
    return [...(theirs ? [homeworkRow(model, theirs.epochs)] : []), ...ours.filter(({ runs }) => runs.length > 0)];
  });
}

function settingsOf({ recipe, model }: Series): string {
  return JSON.stringify(recipeOf(recipe, model));
}
