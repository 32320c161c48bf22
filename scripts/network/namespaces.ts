/**
 * An emulated network out of Linux network namespaces: one for the coordinator, one for each worker's host, and one for
 * the switch, a bridge that each of the others is joined to by a pair of virtual Ethernet devices.
 *
 *     hub (coordinator)  host 1  host 2 ...     link0 of each: rate from the host to the switch
 *            |              |       |
 *            +------- switch -------+           port0, port1, ...: rate from the switch to the host
 *
 * It makes and removes namespaces and devices; what runs in them is others' business. Calls are synchronous, so that the
 * network can be taken down from anywhere, a signal's handler too.
 */
import { spawnSync } from 'node:child_process';
import { ConfigError } from '../../protocol/errors.ts';
import type { Link } from './link.ts';
import { shapingCommands } from './shaping.ts';

/** Every `ip` and `tc` takes milliseconds; one that hangs must not hang the program. */
const COMMAND_DEADLINE_MS = 10_000;

/** Names of namespaces: this, the process that made them, a number of the network in that process, the place. */
const NAME = /^gradsock-(\d+)-\d+-(?:switch|hub|host\d+)$/;

export interface NamespaceNetwork {
  /** Namespaces of the coordinator and of each worker's host, and their addresses; nothing else has these addresses. */
  readonly hub: NetworkHost;
  readonly hosts: readonly NetworkHost[];
  /** Removes everything. Processes in it must have ended. Harmless when called again. */
  remove(): void;
}

export interface NetworkHost {
  readonly namespace: string;
  readonly address: string;
  readonly link: HostLink;
}

/** What may happen to a host's link while it is in use. */
export interface HostLink {
  /** From here on packets vanish in both directions; neither end is told, as when a switch on the way loses its power. */
  cut(): void;
  mend(): void;
  /** Gives it another rate and, where the network was made with netem, another delay. */
  shape(link: Link): void;
}

export interface NamespaceNetworkOptions {
  readonly numHosts: number;
  readonly link: Link;
  /** Whether `tc` delays packets too; where it does not, the links have their rate alone. */
  readonly delayByNetem: boolean;
}

let numNetworks = 0;

/** Networks that are there, to be removed when the process ends without doing so itself. */
const present = new Set<NamespaceNetwork>();
process.on('exit', () => present.forEach((network) => network.remove()));

/** Throws `ConfigError` with what `ip` or `tc` said when it cannot be made; nothing is left then. */
export function createNamespaceNetwork({ numHosts, link, delayByNetem }: NamespaceNetworkOptions): NamespaceNetwork {
  const networkNumber = ++numNetworks;
  const name = (place: string) => `gradsock-${process.pid}-${networkNumber}-${place}`;
  const switchName = name('switch');
  const [hub, ...hosts] = ['hub', ...Array.from({ length: numHosts }, (_, i) => `host${i + 1}`)].map((place, i) => ({
    namespace: name(place),
    // The namespaces see no other network: any private range will do.
    address: `10.77.${Math.floor(i / 250)}.${(i % 250) + 1}`,
    link: hostLink(
      { namespace: name(place), device: 'link0' },
      { namespace: switchName, device: portOf(i) },
      delayByNetem,
    ),
  })) as [NetworkHost, ...NetworkHost[]];
  const all = [hub, ...hosts];
  const network: NamespaceNetwork = {
    ...{ hub, hosts },
    remove() {
      present.delete(network);
      removeNamespaces([switchName, ...all.map(({ namespace }) => namespace)]);
    },
  };
  present.add(network);

  try {
    run('ip', ['netns', 'add', switchName]);
    runBatch('ip', switchName, ['link add bridge0 type bridge', 'link set bridge0 up']);
    all.forEach(({ namespace, address, link: ownLink }, i) => {
      const port = portOf(i);
      run('ip', ['netns', 'add', namespace]);
      runBatch('ip', namespace, [
        'link set lo up',
        `link add link0 type veth peer name ${port} netns ${switchName}`,
        `address add ${address}/16 dev link0`,
        'link set link0 up gso_max_size 16384',
      ]);
      runBatch('ip', switchName, [`link set ${port} master bridge0`, `link set ${port} up`]);
      ownLink.shape(link);
    });
    return network;
  } catch (error) {
    network.remove();
    throw error;
  }
}

const portOf = (host: number): string => `port${host}`;

interface Device {
  readonly namespace: string;
  readonly device: string;
}

/** The link between a host and its port of the switch. */
function hostLink(host: Device, port: Device, delayByNetem: boolean): HostLink {
  let isShaped = false;
  return {
    // A port without a bridge is up, and passes nothing on.
    cut: () => runBatch('ip', port.namespace, [`link set ${port.device} nomaster`]),
    mend: () => runBatch('ip', port.namespace, [`link set ${port.device} master bridge0`]),
    shape(link) {
      for (const { namespace, device } of [host, port]) {
        const before = isShaped ? [`qdisc del dev ${device} root`] : [];
        runBatch('tc', namespace, [...before, ...shapingCommands(device, link, delayByNetem)]);
      }
      isShaped = Number.isFinite(link.bitsPerSecond);
    },
  };
}

/** Why namespaces cannot be used on this machine; undefined where they can. Tries it out. */
export function namespacesProblem(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a feature of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const program of ['ip', 'tc']) {
    if (spawnSync(program, ['-V']).status !== 0) return `\`${program}\` is missing: install iproute2`;
  }
  try {
    createNamespaceNetwork({ numHosts: 1, link: { bitsPerSecond: 1e9, roundTripMs: 0 }, delayByNetem: false }).remove();
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

/** Whether this kernel's `tc` can delay packets. Needs namespaces. */
export function hasNetem(): boolean {
  const link = { bitsPerSecond: 1e9, roundTripMs: 1 };
  try {
    createNamespaceNetwork({ numHosts: 0, link, delayByNetem: true }).remove();
    return true;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return false;
  }
}

/** Namespaces of this program whose process is gone, so that nobody will remove them. */
export function leftoverNamespaces(): string[] {
  return listNamespaces().filter((name) => {
    const pid = Number(NAME.exec(name)?.[1]);
    return pid > 0 && !isAlive(pid);
  });
}

export function listNamespaces(): string[] {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8', timeout: COMMAND_DEADLINE_MS });
  // A line is a name, and "(id: 3)" behind some.
  return stdout.split('\n').flatMap((line) => line.split(' ')[0] || []);
}

/** Devices go with their namespaces. */
export function removeNamespaces(names: readonly string[]): void {
  const known = new Set(listNamespaces());
  for (const name of names) if (known.has(name)) run('ip', ['netns', 'delete', name]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Several commands of `ip` or `tc` in one namespace, in one process. */
function runBatch(program: 'ip' | 'tc', namespace: string, commands: readonly string[]): void {
  if (commands.length > 0) run(program, ['-netns', namespace, '-batch', '-'], commands.join('\n'));
}

function run(program: string, args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8', timeout: COMMAND_DEADLINE_MS });
  if (status === 0) return;
  const said = error?.message ?? stderr.trim().split('\n').join('; ');
  throw new ConfigError(`${program} ${args.join(' ')}: ${said}${input && `, for: ${input.split('\n').join('; ')}`}`);
}
