/** `gradsock runs [FOLDER]`, `gradsock runs diff A B`: what was trained, how well, and what differed. */
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { flag } from '../flags/values.ts';
import { diffRuns, formatDiff } from '../runs/run-diff.ts';
import { isRun, listRuns } from '../runs/run-summary.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import { COLUMNS, filterRuns, formatRuns, sortRuns, toCsv } from '../runs/run-table.ts';

const EXAMPLES = `
Columns: ${COLUMNS.slice(0, 8).join(', ')},
  ${COLUMNS.slice(8).join(', ')}

Examples:
  gradsock runs sweeps/my-search --sort bestAccuracy --filter model=conv --filter 'bestAccuracy>0.9'
  gradsock runs diff runs/latest runs/2026-11-30-dense-abc123`;

interface Flags {
  sort: string;
  filter: string[];
  json: boolean;
  csv: boolean;
}

const write = (text: string) => process.stdout.write(`${text}\n`);

export function runsCommand(): Command {
  const collect = (condition: string, before: string[]) => [...before, condition];
  const list = new Command('list')
    .description('list the runs of a folder: model, data, recipe, accuracy, time, how each ended')
    .argument('[folder]', 'folder that holds run directories', 'runs')
    .addOption(
      flag('--sort <column>', 'column to sort by, best or newest first; -COLUMN: the other way').default('startedAt'),
    )
    .addOption(
      new Option('--filter <condition>', 'show only runs for which this is true; may be given several times')
        .argParser(collect)
        .default([], 'all runs'),
    )
    .option('--json', 'print the result as JSON', false)
    .option('--csv', 'print the result as CSV', false)
    .action(listCommand);
  const diff = new Command('diff')
    .description('say what differs between two runs, in configuration and result')
    .argument('<a>', 'run directory')
    .argument('<b>', 'another run directory')
    .option('--json', 'print the result as JSON', false)
    .action((a: string, b: string, { json }: { json: boolean }) => {
      for (const path of [a, b]) {
        if (!existsSync(path) || !isRun(path))
          throw new ConfigError(`${path}: expected a run directory, got none there`);
      }
      const differences = diffRuns(a, b);
      write(json ? JSON.stringify(differences, undefined, 2) : formatDiff(a, b, differences));
    });
  return new Command('runs').addHelpText('after', EXAMPLES).addCommand(list, { isDefault: true }).addCommand(diff);
}

function listCommand(folder: string, { sort, filter, json, csv }: Flags): void {
  if (json && csv) throw new ConfigError('--json with --csv: leave out one of them');
  let runs: RunSummary[];
  try {
    runs = listRuns(folder);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(describeSystemError(folder, 'read', error), { cause: error });
  }
  const chosen = sortRuns(filterRuns(runs, filter), sort);
  if (json) write(JSON.stringify(chosen, undefined, 2));
  else if (csv) write(toCsv(chosen));
  else if (chosen.length > 0) write(formatRuns(chosen, process.stdout.isTTY ? process.stdout.columns : undefined));
  else write(`${folder}: ${countOf(runs.length, 'run')}, none to show`);
}
