/** Place: where the processes of a run are started, and by which address a worker there reaches the coordinator. */
import { builtFile } from './built-file.ts';
import type { Link } from './link.ts';
import { createNamespaceNetwork, hasNetem, namespacesProblem } from './namespaces.ts';
import type { HostLink, NetworkHost } from './namespaces.ts';
import type { ProcessGroup } from './processes.ts';
import type { RelayOptions } from './relay.ts';

/** What stands for the network of a run. */
export interface Place {
  /** The coordinator listens on it. */
  readonly address: string;
  /** The command that runs `command` where the coordinator is. */
  atCoordinator(command: readonly string[]): readonly string[];
  /** The command that runs `command` on the host of worker `worker`, from 0. */
  atWorker(worker: number, command: readonly string[]): readonly string[];
  /** What that worker joins by, given what the coordinator wrote: on the way there may be a relay, started in `group`. */
  joinUrl(worker: number, url: string, group: ProcessGroup): Promise<string>;
  /** Of each worker; none over loopback. */
  readonly links: readonly HostLink[];
  /** Takes it down; its processes must have ended. */
  remove(): void;
}

/** How the delay of a link is made: by the kernel, by a relay of ours; or there is no emulated link at all. */
export type Emulation = { readonly delay: 'netem' | 'relay' } | { readonly delay: 'none'; readonly reason: string };

const RELAY_PROGRAM = builtFile('network/relay-process.js');

/** What a relay may hold beyond a delay's worth of the rate. */
const RELAY_SLACK_BYTES = 8 * 2 ** 20;

/** Tries out what this machine permits. */
export function findEmulation(): Emulation {
  const reason = namespacesProblem();
  if (reason !== undefined) return { delay: 'none', reason };
  return { delay: hasNetem() ? 'netem' : 'relay' };
}

/** What stands for the network, and what that leaves out, in a line. */
export function describeEmulation(emulation: Emulation): string {
  switch (emulation.delay) {
    case 'netem':
      return 'emulated hosts in network namespaces: rate by tbf, delay by netem';
    case 'relay':
      return (
        'emulated hosts in network namespaces: rate by tbf; this kernel has no netem, so a relay on each host holds ' +
        "back what passes to and from the coordinator; TCP's own reaction to the delay, slow start and windows, is " +
        'left out, and so is any delay between two workers'
      );
    case 'none':
      return `no emulated links, everything over loopback: ${emulation.reason}`;
  }
}

/** All on one host, over loopback. */
export function loopbackPlace(): Place {
  return {
    address: '127.0.0.1',
    atCoordinator: (command) => command,
    atWorker: (_, command) => command,
    joinUrl: (_, url) => Promise.resolve(url),
    links: [],
    remove() {},
  };
}

/**
 * An emulated network of `numHosts` hosts; where there is no emulation, {@link loopbackPlace}. A link without a limit
 * has all that others have except the limit, the relay too: what the emulation itself costs is then seen.
 *
 * Throws `ConfigError` when the network cannot be made.
 */
export function makePlace(numHosts: number, link: Link, { delay }: Emulation): Place {
  if (delay === 'none') return loopbackPlace();
  const network = createNamespaceNetwork({ numHosts, link, delayByNetem: delay === 'netem' });
  const at = ({ namespace }: NetworkHost, command: readonly string[]) => ['ip', 'netns', 'exec', namespace, ...command];
  return {
    address: network.hub.address,
    atCoordinator: (command) => at(network.hub, command),
    atWorker: (worker, command) => at(network.hosts[worker]!, command),
    async joinUrl(worker, url, group) {
      if (delay !== 'relay') return url;
      const { hostname, port } = new URL(url);
      const host = network.hosts[worker]!;
      const target = { host: hostname, port: Number(port) };
      // Not on loopback: where a worker reaches the coordinator, there it listens for other workers.
      const options = { ...relayOptionsOf(link, target), address: host.address };
      const command = at(host, [process.execPath, RELAY_PROGRAM, JSON.stringify(options)]);
      const message = (await group.start(`relay of host ${worker + 1}`, command).message) as { port: number };
      return `ws://${host.address}:${message.port}`;
    },
    links: network.hosts.map(({ link }) => link),
    remove: () => network.remove(),
  };
}

/**
 * Timers count whole milliseconds, so the two directions share a round trip in whole milliseconds: 1 ms is 1 ms on the
 * way out and nothing on the way back. To a step, which waits for the round trip only, that is the same.
 */
export function relayOptionsOf(
  { bitsPerSecond, roundTripMs }: Link,
  target: RelayOptions['target'],
): Omit<RelayOptions, 'address'> {
  const out = Math.ceil(roundTripMs / 2);
  const delaysMs = { out, back: roundTripMs - out };
  const delayedBytes = Number.isFinite(bitsPerSecond) ? (bitsPerSecond / 8) * (roundTripMs / 1000) : 0;
  return { target, delaysMs, maxHeldBytes: Math.ceil(delayedBytes) + RELAY_SLACK_BYTES };
}
