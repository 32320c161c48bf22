/**
 * `npm run emulate`: trains for a few dozen steps across emulated hosts, and prints time, efficiency and bytes of a step
 * beside what a cost model predicts. What is emulated and modelled, and results: docs/results/network.md.
 *
 * Run by node itself, not by the command `tsx`: that one kills a program that does not answer Ctrl-C within 30 ms, and
 * nothing would be taken down.
 */
import { Command, Option } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { ALGORITHMS } from '../network/cost-model.ts';
import type { Algorithm } from '../network/cost-model.ts';
import { copyDataset } from '../network/dataset-copy.ts';
import { createExperiment } from './network/experiment.ts';
import { parseLink } from '../network/link.ts';
import type { Link } from '../network/link.ts';
import { leftoverNamespaces, removeNamespaces } from '../network/namespaces.ts';
import { findEmulation } from '../network/place.ts';
import { runProgramme } from './network/programme.ts';
import { createUndisturbed } from './network/undisturbed.ts';
import { loadModel, parseCount, parsePositive } from '../flags/run-flags.ts';
import { parseNames, parseWires } from '../flags/lists.ts';
import { EXIT, interruptSignal, runMain } from '../process.ts';

interface Flags {
  models: string[];
  workers: number[];
  links: Link[];
  wires: WireFormat[];
  batch: number;
  steps: number;
  seconds: number;
  allReduce: Algorithm;
  extra: string[];
  attempts: number;
  patience: number;
  predict?: true;
  markdown?: true;
  json?: true;
  clean?: true;
}

/** A run is disturbed when others had more than this part of the processors. */
const MAX_OTHER_LOAD = 0.05;

const NUM_TRAIN_SAMPLES = 60_000;

const LINKS = ['1gbit/1ms', '1gbit/20ms', '100mbit/1ms', '100mbit/20ms'];

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
const hosts = (text: string): number[] =>
  parseNames(text).map((item) => {
    const count = parseCount(item);
    if (count < 2) throw new ConfigError(`--workers ${item}: expected 2 or more; one worker alone is measured anyway`);
    return count;
  });

const command = new Command('emulate')
  .description('trains across emulated hosts, and compares with a cost model')
  .option('--models <names>', 'models, separated by commas', parseNames, ['dense', 'conv-pool', 'conv'])
  .option('--workers <n,...>', 'numbers of worker hosts', hosts, [2, 4, 8])
  .option(
    '--links <rate/round trip,...>',
    'links of every host',
    (text) => parseNames(text).map((link) => parseLink(link)),
    LINKS.map((link) => parseLink(link)),
  )
  .option('--wires <names>', 'wire formats', parseWires, ['f32', 'bf16'])
  .option('--batch <n>', 'samples a step of each worker', parseCount, 128)
  .option('--steps <n>', 'steps of an epoch at most', parseCount, 24)
  .option('--seconds <s>', 'measured seconds of a run, about', parsePositive, 2)
  .addOption(new Option('--all-reduce <name>', 'how workers average').choices(ALGORITHMS).default('star'))
  .option('--extra <flags>', 'more flags for the coordinator', words, [])
  .option('--attempts <n>', 'most attempts at a run while others use the machine', parseCount, 1)
  .option('--patience <s>', 'seconds to wait, before each run, for others to leave the machine alone', parseCount, 0)
  .option('--predict', 'only what the model says of 64 and 1,000 workers, from a calibration over loopback')
  .option('--markdown', 'all results, both tables, as docs/results/network.md has them')
  .option('--json', 'all results as JSON')
  .option('--clean', 'only remove namespaces that runs left behind which were killed');

await runMain(async () => {
  const flags = command.parse().opts<Flags>();
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  if (flags.clean) {
    clean(log);
    return;
  }
  const signal = interruptSignal(() => log('interrupted: taking everything down'));
  try {
    process.stdout.write(`${await emulate(flags, signal, log)}\n`);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT.interrupted;
  }
});

async function emulate(flags: Flags, signal: AbortSignal, log: (line: string) => void): Promise<string> {
  const { models, workers, links, wires, allReduce: algorithm, attempts, patience } = flags;
  for (const model of models) loadModel(model);
  checkSteps(flags);
  const emulation = findEmulation();
  const dataset = await copyDataset();
  try {
    const experiment = createExperiment({
      ...{ emulation, algorithm, dataDir: dataset.folder, signal },
      ...{ batchPerWorker: flags.batch, maxSteps: flags.steps, seconds: flags.seconds },
      extra: flags.extra,
      undisturbed: createUndisturbed({
        ...{ maxOtherLoad: MAX_OTHER_LOAD, attempts, patienceSeconds: patience, signal, log },
      }),
    });
    const format = flags.json ? 'json' : flags.markdown ? 'markdown' : 'table';
    const parts = flags.predict ? 'outlook' : format === 'table' ? 'measured' : 'both';
    return await runProgramme(experiment, { models, workers, links, wires, emulation, format, parts, log });
  } finally {
    dataset.remove();
  }
}

/** An epoch's steps must not need more samples than there are. */
function checkSteps({ steps, workers, batch }: Flags): void {
  const most = Math.max(...workers);
  const enough = Math.floor(NUM_TRAIN_SAMPLES / (most * batch));
  if (steps <= enough) return;
  const found = `${countOf(most, 'worker')} with ${countOf(batch, 'sample')} each see all ${NUM_TRAIN_SAMPLES} in ${countOf(enough, 'step')}`;
  throw new ConfigError(`--steps ${steps}: ${found}: use at most ${enough}`);
}

function clean(log: (line: string) => void): void {
  const names = leftoverNamespaces();
  removeNamespaces(names);
  log(names.length > 0 ? `removed ${names.join(', ')}` : 'nothing was left behind');
}
