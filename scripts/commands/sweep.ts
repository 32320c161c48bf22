/** `gradsock sweep FILE`: a search over a run's flags, several runs side by side. */
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { flag } from '../flags/run-flags.ts';
import { openSweepDirectory } from '../sweep/directory.ts';
import type { RunFlags } from '../flags/run-flags.ts';
import { argumentsOf, runEnvironment } from '../sweep/flags.ts';
import { baselineCommand } from './baseline.ts';
import type { SweepSpec } from '../sweep/spec.ts';
import { reportSweep } from '../sweep/report.ts';
import { readSweepSpec } from '../sweep/spec.ts';
import { runSweep } from '../sweep/sweep.ts';
import { planSweep } from '../sweep/trials.ts';

const HELP = `
FILE is JSON:

  {
    "flags": { "model": "dense", "epochs": 30, "validation": 10000 },
    "random": {
      "trials": 40, "seed": 1,
      "space": {
        "learning-rate": { "log": [0.001, 0.1] },
        "weight-decay": { "linear": [0, 0.1] },
        "optimizer": { "choice": ["sgd", "adamw"] }
      }
    },
    "seeds": [1, 2]
  }

  flags       flags of every run, as for \`gradsock baseline\`; true or false for a flag without a value
  random      random search: the number of trials, and the space from which their flags are drawn; or
  grid        grid search: every combination of { "learning-rate": [0.01, 0.03], "optimizer": ["sgd", "adamw"] }
  seeds       every trial runs once with each seed and is judged by the mean. Default: the run's own seed
  parallel    runs at a time. Default: one per core
  stopEarly   median rule: from epoch afterEpochs on, a run is stopped if its best objective so far is below the
              median of the other runs' means up to the same epoch, once afterRuns others have come as far.
              Default: { "afterEpochs": 10, "afterRuns": 3, "keep": "median" }. false: no run is stopped
  objective   validationAccuracy, which needs validation in flags, or testAccuracy. The latter must be named: a model
              that was chosen by the test set looks better than it is

The same command continues an interrupted sweep. Of the environment variables for flags, only GRADSOCK_DATA_DIR
applies to its runs.

Examples:
  gradsock sweep search.json
  gradsock sweep search.json --sweep-dir /data/sweeps/first`;

interface Flags {
  sweepDir?: string;
}

export function sweepCommand(): Command {
  return new Command('sweep')
    .argument('<file>', 'JSON file that describes the search')
    .addOption(flag('--sweep-dir <folder>', "folder in which the sweep is recorded. Default: sweeps/<FILE's name>"))
    .addHelpText('after', HELP)
    .action(async (path: string, { sweepDir }: Flags) => {
      const say = (line: string) => process.stdout.write(`${line}\n`);
      const spec = readSweepSpec(path);
      const dataset = await datasetOf(spec, say);
      const plan = planSweep(path, spec, dataset);
      // Once, before several runs would.
      await dataset.open();
      const directory = await openSweepDirectory(sweepDir ?? join('sweeps', basename(path, '.json')), spec, say);
      try {
        const signal = interruptSignal(() =>
          say('interrupted: its runs end after their step at hand; once more ends at once'),
        );
        const parallel = spec.parallel ?? availableParallelism();
        await runSweep({ spec, plan, directory, parallel, env: runEnvironment(process.env), signal, say });
        const isWhole = plan.trials.every(({ number }) => directory.records.get(number)?.isFinal);
        if (signal.aborted && !isWhole) {
          say(`interrupted: the same command goes on with ${directory.path}`);
          process.exitCode = EXIT.interrupted;
          return;
        }
        await reportSweep(plan, directory, say);
        process.exitCode = isWhole ? EXIT.done : EXIT.failed;
      } finally {
        await directory.release();
      }
    });
}

/** What all runs train on, by the flags that they have in common and the environment. */
function datasetOf({ flags }: SweepSpec, log: (line: string) => void): Promise<DatasetSource> {
  const options = baselineCommand()
    .exitOverride()
    .action(() => {})
    .parse(argumentsOf(pick(flags, DATA_FLAGS)), { from: 'user' })
    .opts<Pick<RunFlags, 'data' | 'dataDir' | 'resize' | 'testFraction'>>();
  const { data, dataDir, resize, testFraction } = options;
  return findDataset({ data, dataDir, resize, testFraction, log });
}

/** The flags that decide what the data is, as they may be written. */
const DATA_FLAGS: readonly string[] = ['data', 'data-dir', 'dataDir', 'resize', 'test-fraction', 'testFraction'];

function pick<T>(values: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)));
}
