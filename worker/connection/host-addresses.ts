/** The addresses of a host's name. */
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/** As `dns.lookup` of all addresses, in the order that the system prefers. */
export type Lookup = (name: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

/** More than any name of a machine has; each takes a connection. */
const MOST_ADDRESSES = 16;

const lookupAll: Lookup = (name) => systemLookup(name, { all: true });

/**
 * The addresses of a host, IPv4 and IPv6 in turn, beginning with the one that the system prefers (RFC 8305, 4); of an
 * address that one alone, IPv6 with or without brackets.
 *
 * Rejects as the system has it, and after `timeoutMs`: a name server that does not answer would be waited for far longer.
 */
export async function addressesOf(host: string, timeoutMs: number, lookup = lookupAll): Promise<string[]> {
  const name = host.replace(/^\[|\]$/g, '');
  if (isIP(name) !== 0) return [name];
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    const late = () => reject(new Error(`no name server has told the address of ${name} within ${timeoutMs / 1000} s`));
    timer = setTimeout(late, timeoutMs);
  });
  const found = await Promise.race([lookup(name), deadline]).finally(() => clearTimeout(timer));
  return inTurn(found).slice(0, MOST_ADDRESSES);
}

function inTurn(found: Awaited<ReturnType<Lookup>>): string[] {
  const first = found.filter(({ family }) => family === found[0]!.family);
  const second = found.filter(({ family }) => family !== found[0]!.family);
  const pairs = Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]]);
  return [...new Set(pairs.flat().flatMap((entry) => (entry ? [entry.address] : [])))];
}
