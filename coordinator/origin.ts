/** Origins: keeps scripts of other sites, in a browser on a machine that reaches the coordinator, from connecting. */
import { hostname, networkInterfaces } from 'node:os';

/**
 * Whether an upgrade may go on: it has no Origin header, as workers send none, or one that names this server by an
 * address of this machine, its name or `listenHost`. The Host header is not asked: who owns a name can point it here.
 */
export function isOwnOrigin(origin: string | undefined, listenHost: string, port: number): boolean {
  if (origin === undefined) return true;
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const originPort = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const ownNames = ['localhost', hostname().toLowerCase(), listenHost, ...addresses.map(({ address }) => address)];
  const name = url.hostname.replace(/^\[|\]$/g, '');
  return originPort === port && ownNames.includes(name);
}
