/**
 * `npm run bench:compute`: how long a training step takes on each engine that is here, beside PyTorch on the same core.
 * How it is measured, and results: docs/results/compute.md.
 */
import { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { dataDirFlag, loadModel, parseCount } from '../flags/run-flags.ts';
import { runMain } from '../process.ts';
import { runBenchmark } from './compute/benchmark.ts';
import { chooseEngines } from './compute/engine-choice.ts';
import { defaultCore, findPyTorch, PYTORCH_CURE } from './compute/launch.ts';
import { formatReport } from './compute/report.ts';

interface Flags {
  models: string[];
  engines?: string[];
  pairs: number;
  steps?: number;
  core?: string;
  python?: string;
  pytorch: boolean;
  dataDir?: string;
  json?: true;
  markdown?: true;
}

const list = (text: string): string[] => text.split(',').filter(Boolean);

const command = new Command('bench:compute')
  .description('times whole training steps, one thread, in pairs with PyTorch')
  .option('--models <names>', 'separated by commas; also ModelSpecs in FILE.json', list, ['dense', 'conv', 'conv-pool'])
  .option('--engines <names>', 'NAME or NAME:DEVICE, separated by commas; default: all that are here', list)
  .option('--pairs <n>', 'measurements of each side', parseCount, 9)
  .option('--steps <n>', 'steps of a measurement; default: as many as take about 0.4 s', parseCount)
  .option('--core <n>', 'where all processes run, or "any"; the last one allowed, where there is taskset')
  .option('--python <path>', 'a Python that has torch; default: the first found')
  .option('--no-pytorch', 'measure ours alone')
  .addOption(dataDirFlag())
  .option('--json', 'print everything measured as JSON')
  .addOption(new Option('--markdown', 'print the table of docs/results/compute.md and nothing else').conflicts('json'));

await runMain(() => main(command.parse().opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  const { models, engines, pairs, steps, dataDir, json, markdown } = flags;
  const pytorch = flags.pytorch ? findPyTorch(flags.python) : undefined;
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  if (flags.pytorch && !pytorch) log(`no PyTorch found, ours is measured alone; to compare: ${PYTORCH_CURE}`);
  const result = await runBenchmark({
    models: models.map((name) => loadModel(name)),
    engines: chooseEngines(engines),
    core: coreOf(flags.core),
    ...{ pytorch, pairs, steps, dataDir, log },
  });
  const text = json ? JSON.stringify(result, null, 2) : formatReport(result);
  process.stdout.write(`${markdown ? '' : '\n'}${text}\n`);
}

function coreOf(flag: string | undefined): number | undefined {
  if (flag === undefined) return defaultCore();
  if (flag === 'any') return undefined;
  if (!/^\d+$/.test(flag)) throw new ConfigError(`--core ${flag}: expected the number of a core, or any`);
  if (defaultCore() === undefined) throw new ConfigError(`--core ${flag}: there is no taskset here: use --core any`);
  return Number(flag);
}
