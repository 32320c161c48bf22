/** The hosts of a launched run, as `--hosts` lists them, and the groups of workers that they are to have. */
import { isIPv6 } from 'node:net';
import { ConfigError } from '../../protocol/errors.ts';

/** A machine on which workers are started. */
export interface Host {
  /** For ssh: "node1", "user@node1", "2001:db8::1". */
  readonly destination: string;
  /** Workers on it. */
  readonly slots: number;
  /** What its workers compute on. Default: as `--device` says. */
  readonly device?: string;
}

/** The workers of one host, which one connection starts. */
export interface HostGroup {
  readonly destination: string;
  /** The host in lines for people. */
  readonly label: string;
  /** The workers are called NAME-1, NAME-2, ... */
  readonly name: string;
  readonly numWorkers: number;
  readonly device: string | undefined;
}

/** As many as one machine can have. */
const MOST_SLOTS = 1024;
/** As many as a coordinator takes. */
const MOST_WORKERS = 10_000;

const USER = /^[\w.][\w.-]*$/;
const NAME = /^[\w.][\w.-]*$/;
/** An address may name an interface: "fe80::1%eth0". */
const ZONE = /^[\w.-]+$/;

/** Parses "a,b:2,user@[::1]:4". `where` begins the messages. Throws `ConfigError`. */
export function parseHosts(text: string, where: string): Host[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.every((part) => part === '')) throw new ConfigError(`${where}: expected hosts, such as node1,node2:4`);
  return parts.map((part) => parseHost(part, where));
}

/** Parses HOST, HOST:SLOTS and user@HOST; an address of IPv6 stands in brackets where slots follow. Throws `ConfigError`. */
export function parseHost(text: string, where: string): Host {
  const [, user, rest] = /^(?:([^@]*)@)?(.*)$/s.exec(text)!;
  const bare = isAddress(rest!) ? ([rest, rest, undefined] as const) : undefined;
  const [, host, slots] = bare ?? /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(rest!) ?? [];
  const name = host?.replace(/^\[(.*)\]$/, '$1');
  const isBracketed = host?.startsWith('[') === true;
  const isSound = name !== undefined && (bare || isBracketed ? isAddress(name) : NAME.test(name));
  if (!isSound || (user !== undefined && !USER.test(user))) {
    throw new ConfigError(
      `${where}: expected HOST, HOST:SLOTS or user@HOST, such as node1:4 or [2001:db8::1]:4, got ${JSON.stringify(text)}`,
    );
  }
  const destination = user === undefined ? name : `${user}@${name}`;
  return { destination, slots: slots === undefined ? 1 : parseSlots(slots, `${where}: ${destination}`) };
}

/** Throws `ConfigError` for what is no number of workers. */
export function parseSlots(text: string, where: string): number {
  const slots = /^\d+$/.test(text) ? Number(text) : NaN;
  if (slots >= 1 && slots <= MOST_SLOTS) return slots;
  throw new ConfigError(
    `${where}: expected a number of slots from 1 to ${MOST_SLOTS}, got ${JSON.stringify(text)}; another port of ssh ` +
      'belongs into ~/.ssh/config, or to --ssh',
  );
}

/**
 * The groups of these hosts, in their order. A host that is named again has the slots of both, and, where their devices differ,
 * two groups. Throws `ConfigError`.
 */
export function groupsOf(hosts: readonly Host[]): HostGroup[] {
  const numWorkers = hosts.reduce((sum, { slots }) => sum + slots, 0);
  if (numWorkers > MOST_WORKERS) {
    throw new ConfigError(`hosts: expected at most ${MOST_WORKERS} workers, got ${numWorkers}: use fewer slots`);
  }
  const merged = new Map<string, Host>();
  for (const host of hosts) {
    const key = JSON.stringify([host.destination, host.device]);
    merged.set(key, { ...host, slots: host.slots + (merged.get(key)?.slots ?? 0) });
  }
  const found = [...merged.values()];
  const labels = labelsOf(found);
  return found.map(({ destination, slots, device }) => {
    const label = labels.get(destination)!;
    const isAlone = found.filter((other) => other.destination === destination).length === 1;
    const name = isAlone ? label : `${label}:${device ?? 'default'}`;
    return { destination, label, name, numWorkers: slots, device };
  });
}

/** A host's name without its user, where no other user works on that host. */
function labelsOf(hosts: readonly Host[]): ReadonlyMap<string, string> {
  const destinations = [...new Set(hosts.map(({ destination }) => destination))];
  const nameOf = (destination: string) => destination.slice(destination.indexOf('@') + 1);
  const isAlone = (name: string) => destinations.filter((other) => nameOf(other) === name).length === 1;
  return new Map(
    destinations.map((destination) => {
      const name = nameOf(destination);
      return [destination, isAlone(name) ? name : destination];
    }),
  );
}

function isAddress(text: string): boolean {
  const [address, zone] = text.split('%', 2) as [string, string | undefined];
  return isIPv6(address) && (zone === undefined || ZONE.test(zone));
}
