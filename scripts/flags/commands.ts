/** The flags of each command that the library can carry out, in the order of its help. */
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { serverTlsFlags, trustFlags } from '../run/tls-files.ts';
import type { ServerTlsFlags, TrustFlags } from '../run/tls-files.ts';
import { tokenFileFlag } from '../run/token.ts';
import type { TokenFlags } from '../run/token.ts';
import type { PortRange } from '../../worker/connection/peer-server.ts';
import { readingFlags } from './data.ts';
import { allReduceFlags } from './distribution.ts';
import { inGroup } from './groups.ts';
import { addEngineFlags, addFlags, addRunFlags, dataDirFlag, defaultWorkerName, flag } from './run-flags.ts';
import type { EngineFlags, RunFlags } from './run-flags.ts';
import { index, ports, seconds, secondsOrNone, upTo } from './values.ts';
import type { WorkerCounts } from './worker-counts.ts';

/** On one machine: each is a process of some 100 MB. */
const MOST_LOCAL_WORKERS = 1024;
/** Each takes a connection, and a process may have some ten thousands at most. */
const MOST_WORKERS = 10_000;

export const SPLITS = ['test', 'train', 'validation'] as const;

export type BaselineFlags = RunFlags & EngineFlags;

/** How many workers a run has, and where they join it. */
export interface PortFlags extends WorkerCounts, TokenFlags, ServerTlsFlags {
  listen?: string;
  advertise?: string;
  publicUrl?: string;
  joinFile?: string;
  /** The name to announce; empty: that of the run directory. */
  discover?: string;
  /** False with --no-token. */
  token?: boolean;
  joinTimeout: number;
  /** False with --no-dashboard; absent where a caller of the library says nothing. */
  dashboard?: boolean;
}

export interface TrainFlags extends RunFlags, EngineFlags, PortFlags {}

export interface CoordinatorFlags extends RunFlags, PortFlags {
  listen: string;
}

export interface LaunchFlags extends RunFlags, EngineFlags, Omit<PortFlags, 'workers' | 'token'> {
  listen: string;
  hosts?: string;
  hostfile?: string;
  ssh: string;
  remoteCommand?: string;
  install: boolean;
  tunnel: boolean;
}

export interface WorkerFlags extends EngineFlags, TokenFlags, TrustFlags {
  joinFile?: string;
  joinStdin: boolean;
  /** The name to find by mDNS; empty: whichever there is. */
  discover?: string;
  endWithStdin: boolean;
  /** False with --no-token. */
  token?: boolean;
  name: string;
  dataDir?: string;
  keepData: boolean;
  /** Seconds, as the next one. */
  wait: number;
  reconnect: number;
  /** `A-B` */
  peerPorts?: string;
  quiet: boolean;
}

export interface DoctorFlags
  extends
    Omit<EngineFlags, 'threads'>,
    TokenFlags,
    TrustFlags,
    Pick<WorkerFlags, 'joinFile' | 'joinStdin' | 'discover' | 'token'> {
  dataDir?: string;
  peerPorts?: string;
  json: boolean;
}

/** What a model is to be evaluated on. */
export interface EvaluationFlags extends Pick<RunFlags, 'dataDir' | 'resize' | 'testFraction'> {
  data?: string;
  split: (typeof SPLITS)[number];
  worst: number;
}

export function addBaselineFlags(command: Command): Command {
  return addEngineFlags(addRunFlags(command));
}

export function addTrainFlags(command: Command): Command {
  const workers = flag('--workers <n>', 'worker processes of this machine')
    .argParser(upTo(MOST_LOCAL_WORKERS))
    .default(defaultNumWorkers(), 'one per core, 2 to 4');
  const listen = flag('--listen <host:port>', 'address at which workers of other machines join too. Default: none');
  const distribution = [workers, ...workerCountFlags(), ...allReduceFlags()];
  return addEngineFlags(addRunFlags(command, { distribution, joining: [listen, ...portFlags()] }));
}

/** The flags that make sense only where workers of other machines join. */
export const OF_LISTENING = [
  'advertise',
  'publicUrl',
  'joinFile',
  'discover',
  'tokenFile',
  'token',
  'joinTimeout',
  'tlsCert',
  'tlsKey',
] as const satisfies readonly (keyof TrainFlags)[];

/** Of commands that serve pages. */
export const publicUrlFlag = (): Option =>
  flag(
    '--public-url <url>',
    "URL at which people reach the dashboard through a tunnel or a proxy. Default: this machine's addresses",
  );

export const dashboardFlag = (): Option =>
  flag('--no-dashboard', "serve no page that shows the run, on the coordinator's port");

/** One worker a core: at least two, for training across workers is what the command is for, at most four. */
const defaultNumWorkers = () => Math.min(4, Math.max(2, availableParallelism()));

export function addCoordinatorFlags(command: Command): Command {
  return addRunFlags(command, {
    distribution: [
      flag('--workers <n>', 'number of workers to wait for').argParser(upTo(MOST_WORKERS)).default(2),
      ...workerCountFlags(),
      ...allReduceFlags(),
    ],
    joining: [listenFlag().default('127.0.0.1:7878'), ...portFlags()],
  });
}

/** The workers are those of the hosts. */
export function addLaunchFlags(command: Command): Command {
  addFlags(command, inGroup('hosts', hostFlags()));
  const listen = listenFlag().default('0.0.0.0:0', '0.0.0.0:0; with --tunnel 127.0.0.1:0');
  const joining = [listen, ...portFlags().filter((option) => option.long !== '--no-token')];
  return addEngineFlags(
    addRunFlags(command, { distribution: [...workerCountFlags('all of the hosts'), ...allReduceFlags()], joining }),
  );
}

/** Which hosts there are, and how they are reached. */
export function hostFlags(): readonly Option[] {
  return [
    flag('--hosts <list>', 'hosts, each with its number of workers: node1,node2:4,user@[2001:db8::1]:2'),
    flag('--hostfile <file>', 'file with a host on each line: node1 slots=4 device=cuda:0'),
    flag('--ssh <command>', 'ssh program with options of your own, such as "ssh -p 2222"').default('ssh'),
    flag(
      '--remote-command <command>',
      "how gradsock is started on a host, in words of its shell. Default: the program at this one's path, else `gradsock`",
    ),
    flag('--install', "copy this program to each host's cache and install its packages there, once").default(false),
    flag('--tunnel', 'connect workers through ssh: encrypted, and no port need be open').default(false),
  ];
}

const listenFlag = (): Option =>
  flag('--listen <host:port>', 'address at which workers join. 0.0.0.0: all addresses; [::]: IPv6 as well');

/** Of a run whose workers may come and go. */
export function workerCountFlags(all = '--workers'): readonly Option[] {
  return [
    flag('--min-workers <m>', `number of workers to begin with. Default: ${all}`).argParser(upTo(MOST_WORKERS)),
    flag(
      '--max-workers <n>',
      'most workers that compute at the same time, and the default of --microbatches. Default: the microbatches of a step',
    ).argParser(upTo(MOST_WORKERS)),
  ];
}

function portFlags(): readonly Option[] {
  return [
    flag(
      '--advertise <host[:port]>',
      "name or address by which workers reach --listen. Default: this machine's addresses",
    ),
    publicUrlFlag(),
    flag('--join-file <path>', 'file for the URL and the token, readable by you alone; removed at the end'),
    flag('--discover [name]', "announce the run on this network by mDNS. Default of name: the run directory's").preset(
      '',
    ),
    tokenFileFlag(),
    flag('--no-token', 'let everyone in who can connect; only with a loopback address'),
    flag('--join-timeout <seconds>', 'longest wait for workers').argParser(seconds).default(600),
    ...serverTlsFlags(),
    dashboardFlag(),
  ];
}

export function addWorkerFlags(command: Command): Command {
  addFlags(command, [
    ...inGroup('joining', workerJoiningFlags()),
    ...inGroup('data', [
      dataDirFlag("Fashion-MNIST's"),
      // For processes that a library starts with samples of its caller's: no user needs to type it.
      new Option('--no-keep-data', 'hold a dataset that is received in memory alone').hideHelp(),
    ]),
  ]);
  addFlags(command, inGroup('files', [flag('--quiet', 'print only failures and warnings').default(false)]));
  return addEngineFlags(command);
}

export function addDoctorFlags(command: Command): Command {
  const engineFlags = addEngineFlags(new Command()).options.filter(({ long }) => long !== '--threads');
  return addFlags(command, [
    ...inGroup('joining', [...placeFlags(), peerPortsFlag(), ...trustFlags()]),
    ...inGroup('data', [dataDirFlag("Fashion-MNIST's")]),
    ...inGroup('files', [new Option('--json', 'print the checks as JSON').default(false)]),
    ...engineFlags,
  ]);
}

/** Where to join, and with which token. */
function placeFlags(): readonly Option[] {
  return [
    flag('--join-file <path>', 'file with the URL and the token, as `gradsock coordinator --join-file` writes it'),
    flag('--join-stdin', 'read the URL and the token from standard input: ws://HOST:PORT/#TOKEN').default(false),
    flag('--discover [name]', 'find the coordinator of this name by mDNS, or the only one, on the same network').preset(
      '',
    ),
    tokenFileFlag(),
    flag('--no-token', 'join a run that has no token; do not ask for one'),
  ];
}

function workerJoiningFlags(): readonly Option[] {
  return [
    ...placeFlags(),
    flag(
      '--end-with-stdin',
      'leave the run when standard input ends. For launchers: the worker ends with their connection',
    ).default(false),
    flag('--name <name>', "this worker's name").default(defaultWorkerName(), 'host and process id'),
    flag('--wait <seconds>', 'longest wait for a join file or a coordinator that is not there yet; 0: no wait')
      .argParser(secondsOrNone)
      .default(LIMITS.connectMs / 1000),
    flag('--reconnect <seconds>', 'longest wait for a coordinator that was lost after joining; 0: no wait')
      .argParser(secondsOrNone)
      .default(60),
    peerPortsFlag(),
    ...trustFlags(),
  ];
}

/** Of `--peer-ports`, which was checked. */
export function portRangeOf(peerPorts: string | undefined): PortRange | undefined {
  if (peerPorts === undefined) return undefined;
  const [first, last] = peerPorts.split('-').map(Number);
  return { first: first!, last: last! };
}

const peerPortsFlag = (): Option =>
  flag(
    '--peer-ports <a-b>',
    'range from which the worker takes a port for other workers, in a ring. Default: any port',
  ).argParser(ports);

/** Whether a run's best model is taken, and not its last. */
export function bestFlag(): Option {
  return new Option('--best', "take a run's most accurate model, not its last").default(false);
}

/** In the order of the help; `--confusion`, which is the command's own, comes between the last two groups. */
export function evaluationFlags(): readonly Option[] {
  return [
    flag('--data <name|path>', 'dataset. Default: what the run was trained on, else fashion-mnist'),
    dataDirFlag(),
    new Option('--split <name>', 'samples to evaluate on').choices(SPLITS).default('test'),
    flag('--worst <k>', 'samples with the largest losses to name').argParser(index).default(10),
  ];
}

export { readingFlags };
