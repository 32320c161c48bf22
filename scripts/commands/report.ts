/** `gradsock report RUN...`: the report of a run, made again, or one of several runs side by side. */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { flag } from '../flags/values.ts';
import { MOST_COMPARED } from '../../coordinator/dashboard/runs-messages.ts';
import { writeComparisonReport, writeRunReport } from '../report/write-report.ts';

const EXAMPLES = `
A report is one file that opens from the disk, with everything in it. Of one run it goes to report.html in its directory,
with curves.svg and curves.png beside it; of several to comparison.html here.

Examples:
  gradsock report runs/latest
  gradsock report runs/one-worker runs/two-workers runs/four-workers --output scaling.html`;

export function reportCommand(): Command {
  return new Command('report')
    .argument('<run...>', 'run directories')
    .addOption(flag('--output <file>', 'file of the report. Default: in the run directory, or comparison.html'))
    .addHelpText('after', EXAMPLES)
    .action(async (runs: string[], { output }: { output?: string }) => {
      for (const run of runs) {
        if (!existsSync(join(run, 'config.json'))) {
          throw new ConfigError(
            `${run}: expected a run directory, got none there: name a folder that has a config.json`,
          );
        }
      }
      if (runs.length > MOST_COMPARED) {
        throw new ConfigError(`${runs.length} runs side by side: expected at most ${MOST_COMPARED}: name fewer`);
      }
      if (output !== undefined) checkFileFolder('--output', output);
      const warn = (line: string) => process.stderr.write(`${line}\n`);
      const [first, ...others] = runs;
      const path =
        others.length === 0
          ? await writeRunReport(first!, { output, warn })
          : await writeComparisonReport(named(runs), output ?? 'comparison.html');
      process.stdout.write(`${path}\n`);
    });
}

/** By the names of their folders; of the same name by their paths. */
function named(runs: readonly string[]): { name: string; path: string }[] {
  const names = runs.map((path) => basename(resolve(path)));
  const isUnique = new Set(names).size === names.length;
  return runs.map((path, i) => ({ name: isUnique ? names[i]! : path, path }));
}
