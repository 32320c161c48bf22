/**
 * `npm run bench:train`: how long whole training steps take with several workers, beside PyTorch DDP, and what workers
 * gain over one process. How it is measured, and results: docs/results/training.md.
 */
import { Command, Option } from 'commander';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { dataDirFlag, loadModel, parseCount } from '../flags/run-flags.ts';
import { runMain } from '../process.ts';
import { DEFAULT_RECIPE } from '../flags/recipe.ts';
import { findPyTorch, PYTORCH_CURE } from './compute/launch.ts';
import { parseCounts, parseNames, parseWires } from '../flags/lists.ts';
import { runTrainBenchmark } from './train/benchmark.ts';
import { planContests } from './train/contests.ts';
import { formatTraining } from './train/report.ts';

interface Flags {
  models: string[];
  workers: number[];
  globalBatch: number;
  batchPerWorker?: number;
  wires: WireFormat[];
  sharedMemory: boolean;
  engine: string;
  pairs: number;
  python?: string;
  pytorch: boolean;
  dataDir?: string;
  json?: true;
  markdown?: true;
}

const command = new Command('bench:train')
  .description('times whole training steps with several workers, in pairs with PyTorch DDP')
  .option('--models <names>', 'by commas; also ModelSpecs in FILE.json', parseNames, ['dense', 'conv', 'conv-pool'])
  .option('--workers <n,...>', 'numbers of workers', parseCounts, [1, 2, 4])
  .option('--global-batch <n>', 'samples of a step, all workers together', parseCount, DEFAULT_RECIPE.globalBatch)
  .option('--batch-per-worker <n>', 'samples of a step for each worker, instead of --global-batch', parseCount)
  .option('--wires <names>', 'wire formats, separated by commas', parseWires, ['f32'])
  .option('--no-shared-memory', 'send vectors through sockets, as between machines')
  .option('--engine <name>', "the workers' engine", 'native')
  .option('--pairs <n>', 'measurements of each side', parseCount, 7)
  .option('--python <path>', 'a Python that has torch; default: the first found')
  .option('--no-pytorch', 'measure ours alone')
  .addOption(dataDirFlag())
  .option('--json', 'print everything measured as JSON')
  .addOption(new Option('--markdown', 'print what docs/results/training.md shows and nothing else').conflicts('json'));

await runMain(() => main(command.parse().opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  const { models, wires, sharedMemory: sharesMemory, engine, pairs, dataDir, json, markdown } = flags;
  const sizes = planContests(flags);
  const pytorch = flags.pytorch ? findPyTorch(flags.python) : undefined;
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  if (flags.pytorch && !pytorch) log(`no PyTorch found, ours is measured alone; to compare: ${PYTORCH_CURE}`);
  const result = await runTrainBenchmark({
    models: models.map((name) => loadModel(name)),
    ...{ sizes, wires, sharesMemory, engine, pytorch, pairs, dataDir, log },
  });
  process.stdout.write(`${markdown ? '' : '\n'}${json ? JSON.stringify(result, null, 2) : formatTraining(result)}\n`);
}
