/** Meeting: where the coordinator of a job listens, and how the other ranks find it. */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import type { FoundPart } from './families.ts';

/** Where the coordinator listens unless the launcher or the user says otherwise. */
const DEFAULT_PORT = 7878;
const LOOPBACK = '127.0.0.1';
/** In the run directory. */
const JOIN_FILE = 'join';

export interface MeetingFlags {
  readonly coordinatorHost?: string | undefined;
  readonly service?: string | undefined;
  readonly port?: number | undefined;
  readonly joinFile?: string | undefined;
  readonly runDir?: string | undefined;
}

export interface Meeting {
  /** HOST:PORT at which rank 0 listens. Port 0, any free one, where the join file tells it. */
  readonly listen: string;
  /** HOST:PORT at which the others find it; undefined where they read the join file. */
  readonly address?: string | undefined;
  /** Written by rank 0, read by the others. */
  readonly joinFile?: string | undefined;
}

/** What a machine's own name and network are. */
export interface Machine {
  readonly hostname: string;
  readonly hasIPv6: boolean;
}

/**
 * How the ranks of a job meet: at an address, where it and the token are known; else by a join file, which has both.
 *
 * - `hasToken`: whether the user has given every rank the token
 *
 * Throws `ConfigError` where there is neither.
 */
export function meetingOf(part: FoundPart, flags: MeetingFlags, hasToken: boolean, machine: Machine): Meeting {
  const { isOneHost, family } = part;
  const host = flags.coordinatorHost ?? (isOneHost ? LOOPBACK : (part.host ?? hostOfIndex0(part, flags, machine)));
  const runDirFile = flags.runDir === undefined ? undefined : join(flags.runDir, JOIN_FILE);
  const joinFile = flags.joinFile ?? (host === undefined || !hasToken ? runDirFile : undefined);
  const isAlone = part.size === 1 && (part.workersPerRank ?? 1) === 1;
  const knownPort = flags.port ?? part.port;
  // A port of chance needs somebody who tells it.
  const port = knownPort ?? (joinFile === undefined ? DEFAULT_PORT : 0);
  const all = machine.hasIPv6 ? '[::]' : '0.0.0.0';
  const listen = `${isOneHost ? LOOPBACK : all}:${port}`;
  if (joinFile !== undefined) return { listen, joinFile };
  if (host === undefined && part.rank > 0) {
    throw new ConfigError(
      `rank: ${family} does not say on which machine rank 0 is: set MASTER_ADDR, name it by --coordinator-host, the headless ` +
        'Service of an Indexed Job by --service, or a file in a folder of all machines by --join-file',
    );
  }
  if (!hasToken && !isAlone) {
    throw new ConfigError(
      'rank: the ranks have no token in common: set GRADSOCK_TOKEN to the same text for all of them (`openssl rand -hex 32` ' +
        'makes one), or name a folder of all machines by --run-dir, or a file there by --join-file',
    );
  }
  return { listen, address: host === undefined ? undefined : hostAndPort(host, port) };
}

/**
 * In an Indexed Job the name of a pod ends with its index, and a headless Service gives it an address: where this is
 * train-3, index 0 is at train-0.SERVICE.
 */
function hostOfIndex0(
  { family, rank }: FoundPart,
  { service }: MeetingFlags,
  { hostname }: Machine,
): string | undefined {
  if (family !== 'Kubernetes' || service === undefined) return undefined;
  const ending = `-${rank}`;
  if (hostname.endsWith(ending)) return `${hostname.slice(0, -ending.length)}-0.${service}`;
  throw new ConfigError(
    `rank: --service ${service}: expected a host name that ends with ${ending}, as pods of an Indexed Job have, got ` +
      `${hostname}: name the machine of index 0 by --coordinator-host`,
  );
}

/** Of this machine. */
export function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family }) => family === 'IPv6'));
}
