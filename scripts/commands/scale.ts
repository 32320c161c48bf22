/** `gradsock scale`: how much faster more workers train, measured, beside what a cost model says of still more. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { AllReduceChoice } from '../../coordinator/run-config.ts';
import { DATASET_NAMES } from '../../coordinator/dataset/known-datasets.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { hostFlags } from '../flags/commands.ts';
import type { LaunchFlags } from '../flags/commands.ts';
import { allReduceFlags } from '../flags/distribution.ts';
import { parseCounts } from '../flags/lists.ts';
import { addEngineFlags, addFlags, dataDirFlag, flag, parseCount } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { inGroup } from '../flags/groups.ts';
import { readHostfile } from '../launch/hostfile.ts';
import { parseHosts } from '../launch/hosts.ts';
import type { Host } from '../launch/hosts.ts';
import { parseLink } from '../network/link.ts';
import type { Link } from '../network/link.ts';
import { EXIT, interruptSignal, ownCommandLine } from '../process.ts';
import { freshFolder, RECORD_FILE, writeReport } from '../scale/folder.ts';
import { hostPlace, numSlots } from '../scale/hosts.ts';
import { doublings, SCALINGS } from '../scale/plan.ts';
import type { Scaling } from '../scale/plan.ts';
import { emulatedPlace, localPlace } from '../scale/places.ts';
import type { ScalePlace } from '../scale/places.ts';
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
  gradsock scale --model conv --workers-list 1,2,4,8 --emulate 1gbit,2ms
  gradsock scale --model conv --hosts node1,node2,node3:2 --workers-list 1,2,4`;

type HostFlags = Pick<LaunchFlags, 'hosts' | 'hostfile' | 'ssh' | 'remoteCommand' | 'install' | 'tunnel' | 'advertise'>;

interface Flags extends EngineFlags, HostFlags {
  listen?: string;
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
    ...inGroup('hosts', [
      ...hostFlags(),
      flag('--listen <host:port>', 'address at which workers on hosts join. Default: as of `gradsock launch`'),
      flag('--advertise <host[:port]>', 'name or address by which they reach it'),
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
      'numbers of workers. Default: 1, 2, 4, ... up to all slots of the hosts, or here up to one per core, at least 1,2',
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
  const { model, data, dataDir, scaling, globalBatch, steps, epochs, repeat, allReduce, wire } = flags;
  const { engine, device, threads } = flags;
  const hosts = hostsOf(flags);
  const most = hosts ? numSlots(hosts) : Math.max(2, availableParallelism());
  const workers = [...new Set(flags.workersList ?? doublings(most))].sort((a, b) => a - b);
  if (hosts && workers.at(-1)! > most) {
    throw new ConfigError(
      `--workers-list ${workers.join(',')}: expected at most ${most}, the slots of the hosts: use fewer`,
    );
  }
  const microbatches = flags.microbatches ?? workers.at(-1)!;
  const scalings = scaling === 'both' ? SCALINGS : [scaling];
  const sizes = { workers, globalBatch, microbatches, steps, epochs, repeat };
  return {
    plan: { model, data, scalings, ...sizes, allReduce, wire },
    ...{ dataDir, engine, threads, ...(device !== undefined && { device }) },
    openPlace: () => placeOf(flags, hosts, say),
  };
}

/** Undefined where workers are on this machine. Throws `ConfigError` for flags that exclude each other. */
function hostsOf({ hosts, hostfile, emulate }: Flags): Host[] | undefined {
  if (hosts !== undefined && hostfile !== undefined) {
    throw new ConfigError('--hosts with --hostfile: expected one of them, got both: leave out one');
  }
  if (hosts === undefined && hostfile === undefined) return undefined;
  if (emulate) throw new ConfigError('--emulate with hosts: emulated hosts are on this machine: leave out one of them');
  return hosts === undefined ? readHostfile(hostfile!) : parseHosts(hosts, '--hosts');
}

function placeOf(flags: Flags, hosts: Host[] | undefined, say: (line: string) => void): ScalePlace {
  if (flags.emulate) return emulatedPlace(flags.emulate, say);
  if (!hosts) return localPlace();
  const { ssh, remoteCommand, install, tunnel, listen, advertise } = flags;
  return hostPlace(hosts, [
    ...['--ssh', ssh, ...(remoteCommand === undefined ? [] : ['--remote-command', remoteCommand])],
    ...[
      ...(listen === undefined ? [] : ['--listen', listen]),
      ...(advertise === undefined ? [] : ['--advertise', advertise]),
    ],
    ...[...(install ? ['--install'] : []), ...(tunnel ? ['--tunnel'] : [])],
  ]);
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
