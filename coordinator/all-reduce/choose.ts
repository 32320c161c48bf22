/** Which all-reduce a run takes when it may choose: a rule over a few facts, apart from who finds them out. */
import { isIP } from 'node:net';
import type { Member } from '../membership.ts';

export const ALL_REDUCES = ['auto', 'star', 'ring'] as const;
export type AllReduceChoice = (typeof ALL_REDUCES)[number];

export interface RunFacts {
  readonly numWorkers: number;
  /** Of one gradient in the run's wire format. */
  readonly payloadBytes: number;
  /** Whether no worker is known to be on another machine. */
  readonly areLocal: boolean;
}

/** With two workers a ring moves as many bytes over each link as the star moves to and from each worker. */
const FEWEST_WORKERS = 3;
/** Below this the ring's 2 (n - 1) hops, one after the other, cost more than the coordinator's one link does. */
const FEWEST_BYTES = 1_000_000;

/**
 * A star brings all gradients through the coordinator's one network link, n payloads in and n out; a ring moves less than
 * two each way on any link. Within one machine there is no such link to be short of: the star.
 */
export function chooseAllReduce({ numWorkers, payloadBytes, areLocal }: RunFacts): 'star' | 'ring' {
  return !areLocal && numWorkers >= FEWEST_WORKERS && payloadBytes >= FEWEST_BYTES ? 'ring' : 'star';
}

/** Whether any member lives in this process, or all of them are connected over loopback. */
export function areLocal(members: readonly Pick<Member, 'transport'>[]): boolean {
  const addresses = members.map(({ transport }) => addressOf(transport.peer));
  return addresses.some((address) => address === undefined) || addresses.every((address) => isLoopback(address!));
}

/** The address in "10.0.0.1:40123" or "::1:40123"; undefined for a name: what has no address is in this process. */
function addressOf(peer: string): string | undefined {
  const address = peer.slice(0, Math.max(0, peer.lastIndexOf(':'))).replace(/^::ffff:(?=\d+\.)/, '');
  return isIP(address) === 0 ? undefined : address;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
