/** The records of `npm run homework`: one file for each recipe, model and mode, one line of JSON for each run. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PartsInSeconds } from '../../../coordinator/reporting/flat-parts.ts';
import { writeFileAtomically } from '../../../protocol/atomic-file.ts';
import type { Provenance } from '../common/cli-run.ts';
import type { RecipeName } from '../../flags/recipe.ts';

/** One epoch as the homework's report gives it: epoch, loss, training accuracy, test accuracy, seconds of its steps. */
export type HomeworkEpoch = [number, number, number, number, number];

/** The homework's own figures. */
export interface Homework {
  readonly source: string;
  readonly models: Readonly<Record<string, { readonly epochs: readonly HomeworkEpoch[] }>>;
}

/** How the commands are called that make the rows of the table. */
export const MODES = {
  baseline: ['baseline'],
  'two workers': ['train', '--workers', '2'],
} as const satisfies Record<string, readonly string[]>;

export type Mode = keyof typeof MODES;

/** Which runs belong together. */
export interface Series {
  readonly recipe: RecipeName;
  readonly model: string;
  readonly mode: Mode;
}

/** Seconds by part, as these records have them; they add up to those of an epoch's steps. */
export interface BreakdownSeconds {
  readonly computeSeconds: number;
  readonly encodeSeconds: number;
  readonly wireSeconds: number;
  readonly waitSeconds: number;
  readonly reduceSeconds: number;
  readonly applySeconds: number;
  readonly otherSeconds: number;
}

/** What is kept of a run. */
export interface RunRecord extends Provenance {
  readonly seed: number;
  /** The values of the recipe that it was run with, and its length: of other values a run is another one. */
  readonly settings: string;
  /** Wall time of the whole run: start, steps, evaluations, files. */
  readonly seconds: number;
  readonly epochs: readonly HomeworkEpoch[];
  /** Where the seconds of an epoch's steps went: the mean over epochs. */
  readonly breakdown: BreakdownSeconds;
}

/** By part, the mean over epochs. */
export function meanBreakdown(epochs: readonly PartsInSeconds[]): BreakdownSeconds {
  const mean = (part: keyof PartsInSeconds): number => {
    const sum = epochs.reduce((total, epoch) => total + epoch[part], 0);
    return Math.round((1e5 * sum) / epochs.length) / 1e5;
  };
  return {
    computeSeconds: mean('computePartSeconds'),
    encodeSeconds: mean('encodePartSeconds'),
    wireSeconds: mean('wirePartSeconds'),
    waitSeconds: mean('waitPartSeconds'),
    reduceSeconds: mean('reducePartSeconds'),
    applySeconds: mean('applyPartSeconds'),
    otherSeconds: mean('otherPartSeconds'),
  };
}

/** The runs of a series that were made with these settings, by seed. */
export function readRuns(folder: string, series: Series, settings: string): RunRecord[] {
  const path = pathOf(folder, series);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as RunRecord).filter((run) => run.settings === settings);
}

/** Keeps the runs of a series in place of those that were there. */
export async function writeRuns(folder: string, series: Series, runs: readonly RunRecord[]): Promise<void> {
  const sorted = [...runs].sort((a, b) => a.seed - b.seed);
  await writeFileAtomically(pathOf(folder, series), sorted.map((run) => `${JSON.stringify(run)}\n`).join(''));
}

function pathOf(folder: string, { recipe, model, mode }: Series): string {
  return join(folder, `${recipe}-${model}-${mode.replace(' ', '-')}.jsonl`);
}
