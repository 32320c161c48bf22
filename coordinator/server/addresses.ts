/** Addresses: by which of this machine's addresses others most likely reach it. */
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NetworkInterfaceInfo } from 'node:os';
import { ConfigError } from '../../protocol/errors.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';

/** As `os.networkInterfaces` returns it. */
export type InterfaceTable = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** A name or address by which workers reach the coordinator, and a port, if it is another than the one listened on. */
export interface AdvertisedAddress {
  readonly host: string;
  readonly port: number | undefined;
}

/** Bridges, tunnels and the like: what is behind them is this machine, or a network that only this machine is in. */
const VIRTUAL_INTERFACE =
  /^(docker|br-|bridge|virbr|veth|vnet|vmnet|vboxnet|lxc|lxd|podman|cni|flannel|cali|cilium|kube|tun|tap|utun|wg|zt|tailscale|ppp|vethernet)/i;

const LINK_LOCAL = /^(169\.254\.|fe[89ab][0-9a-f]:)/i;

/** RTF_UP and RTF_REJECT of Linux' routing tables. */
const ROUTE_UP = 0x1;
const ROUTE_REJECT = 0x200;

/**
 * Addresses by which other machines may reach a server that listens on all addresses of `families`, the likeliest first:
 * those of the interfaces of the default routes, in their order, then the other interfaces' in theirs; of one interface
 * IPv4 before IPv6. Virtual interfaces count only where there is no other. Without any, the loopback address.
 */
export function candidateAddresses(
  table: InterfaceTable,
  defaultRoutes: readonly string[],
  families: readonly ('IPv4' | 'IPv6')[],
): string[] {
  const names = [...new Set([...defaultRoutes, ...Object.keys(table)])];
  const isReal = (name: string) => !VIRTUAL_INTERFACE.test(name);
  const addressesOf = (name: string) => {
    const usable = (table[name] ?? []).filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address));
    return families.flatMap((family) => usable.filter((entry) => entry.family === family));
  };
  const real = names.filter(isReal).flatMap(addressesOf);
  const found = real.length > 0 ? real : names.flatMap(addressesOf);
  if (found.length > 0) return [...new Set(found.map(({ address }) => address))];
  return [families.includes('IPv4') ? '127.0.0.1' : '::1'];
}

/**
 * The interfaces of the default routes, the one with the lowest metric first, those of IPv4 before those of IPv6.
 *
 * - `routes`, `routes6`: the text of Linux' `/proc/net/route` and `/proc/net/ipv6_route`; empty where there is none
 */
export function defaultRouteInterfaces(routes: string, routes6: string): string[] {
  const rows = (text: string) => text.split('\n').map((line) => line.trim().split(/\s+/));
  const isUsable = (flags: string) => (parseInt(flags, 16) & (ROUTE_UP | ROUTE_REJECT)) === ROUTE_UP;
  const byMetric = (found: readonly { name: string; metric: number }[]) =>
    [...found].sort((a, b) => a.metric - b.metric).map(({ name }) => name);
  // Iface Destination Gateway Flags RefCnt Use Metric Mask ...
  const of4 = rows(routes).flatMap(([name, destination, , flags, , , metric, mask]) =>
    destination === '00000000' && mask === '00000000' && isUsable(flags!)
      ? [{ name: name!, metric: Number(metric) }]
      : [],
  );
  // destination length source length next hop, metric, references, use, flags, name; numbers in hexadecimal
  const of6 = rows(routes6).flatMap(([destination, length, , , , metric, , , flags, name]) =>
    /^0{32}$/.test(destination!) && length === '00' && name !== 'lo' && isUsable(flags!)
      ? [{ name: name!, metric: parseInt(metric!, 16) }]
      : [],
  );
  return [...new Set([...byMetric(of4), ...byMetric(of6)])];
}

/** By what others reach what listens on `host` of this machine: the address itself, or for "all addresses" the candidates. */
export function reachableHosts(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const defaultRoutes = defaultRouteInterfaces(readTable('/proc/net/route'), readTable('/proc/net/ipv6_route'));
  return candidateAddresses(networkInterfaces(), defaultRoutes, host === '::' ? ['IPv4', 'IPv6'] : ['IPv4']);
}

/** Linux alone has these files. Elsewhere the order is the system's own. */
function readTable(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Parses "HOST" or "HOST:PORT"; IPv6 in brackets, which may be missing where there is no port. Throws `ConfigError`. */
export function parseAdvertised(text: string): AdvertisedAddress {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]]+))(?::(?<port>\d{1,5}))?$/.exec(text);
  const host = isIPv6(text) ? text : (match?.groups?.v6 ?? match?.groups?.name);
  const port = match?.groups?.port === undefined ? undefined : Number(match.groups.port);
  const isName = host !== undefined && /^[\w.-]+$/.test(host) && host !== '0.0.0.0';
  const isAddress = host !== undefined && isIPv6(host) && host !== '::';
  const isSound = (isAddress || (isName && match?.groups?.v6 === undefined)) && port !== 0 && (port ?? 0) <= 65535;
  if (isSound && URL.canParse(`ws://${hostAndPort(host, port ?? 1)}`)) return { host, port };
  throw new ConfigError(
    `--advertise ${text}: expected HOST or HOST:PORT by which workers reach this machine, such as trainer.example:7878 ` +
      'or [2001:db8::1]:7878',
  );
}
