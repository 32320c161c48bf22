/** Which all-reduce a run takes when it may choose: a rule over a few facts, apart from who finds them out. */
import { isIP } from 'node:net';
import { countOf } from '../../protocol/counts.ts';
import type { AllReduceKind } from '../run-config.ts';
import type { Member } from '../members/member.ts';

export interface RunFacts {
  readonly numWorkers: number;
  /** Of one gradient in the run's wire format. */
  readonly payloadBytes: number;
  /** Whether no worker is known to be on another machine. */
  readonly areLocal: boolean;
  /** The longest between coordinator and a worker, where it is known. */
  readonly roundTripMs?: number;
}

export interface Choice {
  readonly kind: AllReduceKind;
  /** For the user: "all workers are on this machine". */
  readonly why: string;
}

/** With two workers already, the coordinator's link carries twice what a ring's links do. */
const FEWEST_WORKERS = 2;
/** Of the payloads that were measured, the smallest with which a ring was the faster one by more than noise. */
const FEWEST_BYTES = 200_000;
/** What a gigabit link carries. */
const BYTES_PER_MS = 125_000;

/**
 * A star brings all gradients through the coordinator's one network link, n payloads in and n out; a ring moves less than
 * two each way on any link, in 2 (n - 1) hops one after the other. So a star's step has about n - 1 payloads more to wait
 * for, a ring's n - 1 round trips: the ring pays where a payload takes longer than a round trip. Within one machine there is
 * no link to be short of: the star. Measured: docs/results/network.md.
 */
export function chooseAllReduce(facts: RunFacts): Choice {
  const { payloadBytes, roundTripMs = 0 } = facts;
  const star = whyStar(facts);
  if (star !== undefined) return { kind: 'star', why: star };
  const wireMs = payloadBytes / BYTES_PER_MS;
  const times = `${wireMs.toFixed(1)} ms on a gigabit link, a round trip ${roundTripMs.toFixed(1)} ms`;
  return wireMs < roundTripMs
    ? { kind: 'star', why: `a gradient takes ${times}` }
    : { kind: 'ring', why: `a gradient takes ${times}` };
}

/** Whether the choice hangs on the round trip: the other facts do not settle it. */
export const needsRoundTrip = (facts: Omit<RunFacts, 'roundTripMs'>): boolean => whyStar(facts) === undefined;

/** What rules out a ring, whatever the round trip. */
function whyStar({ numWorkers, payloadBytes, areLocal }: RunFacts): string | undefined {
  if (numWorkers < FEWEST_WORKERS) return `there is ${countOf(numWorkers, 'worker')}`;
  if (areLocal) return 'all workers are on this machine';
  if (payloadBytes < FEWEST_BYTES) return `a gradient has only ${(payloadBytes / 1000).toFixed(0)} kB`;
  return undefined;
}

/** Whether any member lives in this process, or all of them are connected over loopback. */
export function areLocal(members: readonly Pick<Member, 'transport'>[]): boolean {
  const addresses = members.map(({ transport }) => addressOf(transport.peer));
  return addresses.some((address) => address === undefined) || addresses.every((address) => isLoopback(address!));
}

/** The address in "10.0.0.1:40123" or "[::1]:40123"; undefined for a name: what has no address is in this process. */
function addressOf(peer: string): string | undefined {
  const address = peer
    .slice(0, Math.max(0, peer.lastIndexOf(':')))
    .replace(/^\[|\]$/g, '')
    .replace(/^::ffff:(?=\d+\.)/, '');
  return isIP(address) === 0 ? undefined : address;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
