/** `gradsock scale`: how much faster more workers train, measured, beside what a cost model says of still more. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { AllReduceChoice } from '../../coordinator/run-config.ts';
import { DATASET_NAMES } from '../../coordinator/dataset/known-datasets.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { allReduceFlags } from '../flags/distribution.ts';
import { parseCounts } from '../flags/lists.ts';
import { addEngineFlags, addFlags, dataDirFlag, flag, parseCount } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { inGroup } from '../flags/groups.ts';
import { parseLink } from '../network/link.ts';
import type { Link } from '../network/link.ts';
import { EXIT, interruptSignal, ownCommandLine } from '../process.ts';
import { freshFolder, RECORD_FILE, writeReport } from '../scale/folder.ts';
import { doublings, SCALINGS } from '../scale/plan.ts';
import type { Scaling } from '../scale/plan.ts';
import { emulatedPlace, localPlace } from '../scale/places.ts';
import { readRecord } from '../scale/record.ts';
import type { ScaleRecord } from '../scale/record.ts';
import { formatMarkdown, formatScale } from '../scale/report.ts';
import { scale } from '../scale/scale.ts';
import { summarise } from '../scale/summary.ts';

const EXAMPLES = `
Each number of workers trains the same model for a few short epochs, several times over. The first epoch of a run warms up
and does not count. In strong scaling the global batch stays, in weak scaling every worker has --global-batch samples. The
number of microbatches is the same for all, so with the star and f32 strong scaling ends with equal parameters.

The folder has scale.json (every figure), scale.csv, scale.md, scale.svg and scale.png.

Examples:
  gradsock scale --model conv
  gradsock scale --model conv --workers-list 1,2,4,8 --emulate 1gbit,2ms
  gradsock scale --redraw scale-2026-11-30-conv`;

interface Flags extends EngineFlags {
  model: string;
  data: string;
  dataDir?: string;
  scaling: Scaling | 'both';
  workersList?: number[];
  globalBatch: number;
  microbatches?: number;
  steps: number;
  epochs: number;
  repeat: number;
  allReduce: AllReduceChoice;
  wire: WireFormat;
  emulate?: Link;
  output?: string;
  redraw?: string;
  json: boolean;
  markdown: boolean;
}

export function scaleCommand(): Command {
  const command = new Command('scale').addHelpText('after', EXAMPLES);
  addFlags(command, [
    ...inGroup('model', [
      flag('--model <name>', `model: ${MODEL_NAMES.join(', ')}, or a ModelSpec in FILE.json`).default('conv-pool'),
    ]),
    ...inGroup('data', [
      flag('--data <name|path>', `dataset: ${DATASET_NAMES.join(', ')}, or the path of one`).default('fashion-mnist'),
      dataDirFlag(),
    ]),
    ...inGroup('distribution', distributionFlags()),
    ...inGroup('measurement', measurementFlags()),
    ...inGroup('files', [
      flag('--output <folder>', 'folder of the result. Default: scale-<date>-<model>'),
      flag('--redraw <folder>', 'print and draw the result in this folder again; nothing is measured'),
      flag('--json', 'print the result as JSON').default(false),
      flag('--markdown', 'print the result as Markdown').default(false),
    ]),
  ]);
  return addEngineFlags(command).action(async (flags: Flags) => {
    if (flags.json && flags.markdown) throw new ConfigError('--json with --markdown: leave out one of them');
    const say = (line: string) => void process.stderr.write(`${line}\n`);
    if (flags.redraw !== undefined) {
      await report(flags.redraw, readRecord(join(flags.redraw, RECORD_FILE)), flags, say);
      return;
    }
    const folder = flags.output ?? freshFolder(flags.model, new Date());
    const signal = interruptSignal(
      () => say('interrupted: taking everything down; once more ends at once'),
      process.stderr,
    );
    const record = await scale({ ...settle(flags, say), folder, signal, say, command: ownCommandLine() });
    await report(folder, record, flags, say);
    if (signal.aborted) process.exitCode = EXIT.interrupted;
  });
}

function distributionFlags() {
  const [allReduce, wire] = allReduceFlags() as [ReturnType<typeof flag>, ReturnType<typeof flag>];
  return [
    flag(
      '--workers-list <n,...>',
      'numbers of workers. Default: 1, 2, 4, ... up to one per core, at least 1,2',
    ).argParser(parseCounts),
    flag(
      '--emulate <rate,round trip>',
      'give every worker a host of its own in a network namespace, on a link such as 1gbit,2ms; Linux, root and iproute2',
    ).argParser((text) => parseLink(text, '--emulate')),
    flag(
      '--microbatches <n>',
      'parts of a global batch, for all numbers of workers. Default: the most workers',
    ).argParser(parseCount),
    allReduce,
    wire,
  ];
}

function measurementFlags() {
  return [
    flag('--scaling <kind>', 'strong: the global batch stays; weak: it grows with the workers')
      .choices(['both', ...SCALINGS])
      .default('both'),
    flag('--global-batch <n>', 'samples a step in strong scaling, and of each worker in weak scaling')
      .argParser(parseCount)
      .default(256),
    flag('--steps <n>', 'steps of an epoch; fewer where the data has no more').argParser(parseCount).default(40),
    flag('--epochs <n>', 'epochs of a run; the first is not measured').argParser(parseCount).default(4),
    flag('--repeat <n>', 'runs of each point').argParser(parseCount).default(3),
  ];
}

/** The measurement that the flags ask for. */
function settle(flags: Flags, say: (line: string) => void) {
  const { model, data, dataDir, scaling, globalBatch, steps, epochs, repeat, allReduce, wire, emulate } = flags;
  const { engine, device, threads } = flags;
  const given = flags.workersList ?? doublings(Math.max(2, availableParallelism()));
  const workers = [...new Set(given)].sort((a, b) => a - b);
  const microbatches = flags.microbatches ?? workers.at(-1)!;
  const scalings = scaling === 'both' ? SCALINGS : [scaling];
  const sizes = { workers, globalBatch, microbatches, steps, epochs, repeat };
  return {
    plan: { model, data, scalings, ...sizes, allReduce, wire },
    ...{ dataDir, engine, threads, ...(device !== undefined && { device }) },
    openPlace: () => (emulate ? emulatedPlace(emulate, say) : localPlace()),
  };
}

/** Prints the result, and writes its files. */
async function report(folder: string, record: ScaleRecord, { json, markdown }: Flags, say: (line: string) => void) {
  const summary = summarise(record);
  if (!summary) {
    say('nothing was measured');
    return;
  }
  const text = json
    ? JSON.stringify({ ...record, summary: summary.scalings }, undefined, 2)
    : markdown
      ? formatMarkdown(record, summary)
      : formatScale(record, summary, process.stdout.isTTY ? process.stdout.columns : undefined);
  process.stdout.write(`${text}\n`);
  await writeReport(folder, record, summary, say);
  say(`table and plot in ${folder}`);
}
