/** `gradsock sweep FILE`: a search over a run's flags, several runs side by side. */
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { obtainDataset } from '../../coordinator/dataset/fetch.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { flag } from '../flags/run-flags.ts';
import { openSweepDirectory } from '../sweep/directory.ts';
import { runEnvironment } from '../sweep/flags.ts';
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

  flags       of every run, as \`gradsock baseline\` takes them; true or false for those without a value
  random      settings drawn from the space; or in its place:
  grid        all combinations of lists: { "learning-rate": [0.01, 0.03], "optimizer": ["sgd", "adamw"] }
  seeds       each setting runs with each of them, and is judged by the mean; default: the run's own
  parallel    runs at a time; default: one for each core
  stopEarly   { "afterEpochs": 10, "afterRuns": 3, "keep": "median" }, the default: a run whose best objective so far is
              below the median of the other runs' means up to the same epoch is stopped, from that epoch on and where so
              many others have come as far; false: none is
  objective   validationAccuracy, which needs validation in flags: the number of training samples that are held back; or
              testAccuracy, which must be asked for by name, as what was chosen by the test set looks better than it is

The same command again goes on with a sweep that was interrupted. Environment variables that stand for flags do not
count in its runs, but for GRADSOCK_DATA_DIR.`;

interface Flags {
  sweepDir?: string;
}

export function sweepCommand(): Command {
  return new Command('sweep')
    .description('search over the flags of a run, several runs side by side')
    .argument('<file>', 'what to try, as JSON')
    .addOption(flag('--sweep-dir <folder>', "where the sweep is recorded; default: sweeps/<FILE's name>"))
    .addHelpText('after', HELP)
    .action(async (path: string, { sweepDir }: Flags) => {
      const say = (line: string) => process.stdout.write(`${line}\n`);
      const spec = readSweepSpec(path);
      const plan = planSweep(path, spec);
      const dataDir = spec.flags['data-dir'] ?? spec.flags['dataDir'] ?? process.env['GRADSOCK_DATA_DIR'];
      // Once, before several runs would.
      await obtainDataset({ dataDir: typeof dataDir === 'string' ? dataDir : undefined, log: say });
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
