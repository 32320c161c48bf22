/**
 * Origins and hosts: keep scripts of other sites, in a browser on a machine that reaches the coordinator, from connecting
 * and from reading its pages.
 */
import { hostname, networkInterfaces } from 'node:os';
import type { AdvertisedAddress } from './addresses.ts';
import type { PublicUrl } from './public-url.ts';

/** Where a server is reached. */
export interface OwnAddress {
  readonly listenHost: string;
  readonly port: number;
  /** By which name and port the user says it is reached. */
  readonly advertised?: AdvertisedAddress | undefined;
  /** By which URL the user says that people reach its pages. */
  readonly publicUrl?: PublicUrl | undefined;
}

/**
 * Whether an upgrade may go on: it has no Origin header, as workers send none, or one that names this server by the
 * advertised name, the public URL, an address of this machine, its name or the one listened on. The Host header is not asked: who owns a
 * name can point it here.
 */
export function isOwnOrigin(origin: string | undefined, own: OwnAddress): boolean {
  const { listenHost, port, advertised, publicUrl } = own;
  if (origin === undefined) return true;
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  if (publicUrl && url.origin === publicUrl.origin) return true;
  const name = plainName(url.hostname);
  const originPort = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  if (originPort === port && isOwnName(name, listenHost)) return true;
  return advertised !== undefined && originPort === (advertised.port ?? port) && plainName(advertised.host) === name;
}

/**
 * Whether a request for a page names this server in its Host header: by a loopback address, an address or the name of this
 * machine, the one listened on, the advertised one or that of the public URL. Another name, which its owner has pointed here, would let the scripts
 * of a page of that name read the answer (DNS rebinding). The port does not matter: a tunnel may have another.
 */
export function isOwnHost(host: string | undefined, own: Omit<OwnAddress, 'port'>): boolean {
  const { listenHost, advertised, publicUrl } = own;
  if (host === undefined || !URL.canParse(`http://${host}`)) return false;
  const { hostname: written, host: plain, pathname, username } = new URL(`http://${host}`);
  if (plain === '' || pathname !== '/' || username !== '') return false;
  const name = plainName(written);
  if (/^127(\.\d{1,3}){3}$/.test(name) || name === '::1') return true;
  const given = [advertised?.host, publicUrl?.hostname];
  return isOwnName(name, listenHost) || given.some((one) => one !== undefined && plainName(one) === name);
}

function isOwnName(name: string, listenHost: string): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const ownNames = ['localhost', hostname(), listenHost, ...addresses.map(({ address }) => address)];
  return ownNames.some((own) => plainName(own) === name);
}

/** One spelling of a name or address: as URLs have it, but without brackets. */
function plainName(host: string): string {
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const url = `http://${bracketed}`;
  return (URL.canParse(url) ? new URL(url).hostname : host.toLowerCase()).replace(/^\[|\]$/g, '');
}
