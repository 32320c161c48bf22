/**
 * `npm run bench:workers`: what many workers cost one coordinator: memory, processor time and the time of a step. How it is
 * measured, and results: docs/results/workers.md.
 *
 * Run by node itself, not by the command `tsx`, which kills a program that does not answer Ctrl-C within 30 ms.
 */
import { countOf } from '../../protocol/counts.ts';
import { Command, Option } from 'commander';
import { parseCounts } from '../flags/lists.ts';
import { parseCount } from '../flags/run-flags.ts';
import { EXIT, interruptSignal, runMain } from '../process.ts';
import { currentLoad, readConditions } from './common/conditions.ts';
import { runCrowd } from './workers/crowd-run.ts';
import { formatCrowds } from './workers/report.ts';
import type { CrowdRow } from './workers/report.ts';

interface Flags {
  workers: number[];
  models: string[];
  steps: number;
  samples: number;
  allReduce: 'star' | 'ring';
  deaths: boolean;
  profile?: string;
  verbose: boolean;
  json?: true;
}

const STEPS_PER_EPOCH = 50;

const command = new Command('bench:workers')
  .description('runs with many workers of one coordinator, which a few processes hold')
  .option('--workers <n,...>', 'numbers of workers', parseCounts, [25, 50, 100, 200])
  .option('--models <names>', 'models', (text) => text.split(','), ['conv-pool'])
  .option('--steps <n>', 'steps of a run', parseCount, 200)
  .option('--samples <n>', 'samples a step of each worker', parseCount, 2)
  .addOption(new Option('--all-reduce <name>', 'how workers average').choices(['star', 'ring']).default('star'))
  .option('--no-deaths', 'leave out the second run, in which a tenth of the workers is killed and started again')
  .option('--profile <folder>', "write CPU profiles of the coordinator's processes to this folder")
  .option('--verbose', 'print what the runs say', false)
  .option('--json', 'print everything measured as JSON');

await runMain(async () => {
  const flags = command.parse().opts<Flags>();
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const signal = interruptSignal(() => log('interrupted: taking everything down'));
  try {
    await main(flags, signal, log);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT.interrupted;
  }
});

async function main(flags: Flags, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  const { workers, models, steps, samples: samplesPerWorker, allReduce, deaths, profile, verbose } = flags;
  const conditions = readConditions();
  const rows: CrowdRow[] = [];
  for (const model of models) {
    for (const numWorkers of workers) {
      for (const hasDeaths of deaths ? [false, true] : [false]) {
        log(`${model}, ${countOf(numWorkers, 'worker')}${hasDeaths ? ', a tenth of them killed and back' : ''}`);
        const figures = await runCrowd({
          ...{
            model,
            numWorkers,
            steps,
            stepsPerEpoch: STEPS_PER_EPOCH,
            samplesPerWorker,
            allReduce,
            hasDeaths,
            signal,
          },
          nodeFlags: profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile],
          log: verbose ? log : () => {},
        });
        rows.push({ model, numWorkers, hasDeaths, figures });
      }
    }
  }
  const result = { benchmark: 'workers', conditions: { ...conditions, loadAverageAfter: currentLoad() }, steps, rows };
  process.stdout.write(`${flags.json ? JSON.stringify(result, null, 2) : formatCrowds(result)}\n`);
}
