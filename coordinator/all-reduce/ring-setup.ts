/**
 * Ring set-up: every member listens for its predecessor and connects to its successor, in an order that is made here.
 * Nothing is taken for granted: when one member cannot reach another, all are told to let go, and the reason is returned.
 */
import { randomBytes } from 'node:crypto';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { blame, blameNow } from '../blame.ts';
import type { Member } from '../membership.ts';

export type RingOutcome = { readonly isReady: true } | { readonly isReady: false; readonly reason: string };

/** A member that can be reached. */
interface Listener {
  readonly member: Member;
  readonly url: string;
}

interface Refusal {
  readonly because: MessageOf<'ringUnavailable'>['because'];
  readonly reason: string;
}

/** Rejects, naming the member, when one is lost or does not answer; that no ring can be is no error. */
export async function setUpRing(members: readonly Member[], stepTimeoutMs: number): Promise<RingOutcome> {
  if (members.length < 2) return { isReady: false, reason: 'a ring needs two workers or more' };
  const giveUp = (reason: string): RingOutcome => {
    for (const member of members)
      blameNow(member, undefined, () => member.transport.send({ kind: 'ringClose', reason }));
    return { isReady: false, reason };
  };

  const token = randomBytes(32).toString('hex');
  const listening = await Promise.all(members.map((member) => blame(member, undefined, () => prepare(member, token))));
  const deaf = listening.find((answer) => 'because' in answer);
  if (deaf) return giveUp(`${deaf.member.name} cannot listen for other workers: ${deaf.reason}`);

  const ring = orderByMachine(listening.filter((answer) => 'url' in answer));
  const connected = await Promise.all(
    ring.map(({ member }, rank) => blame(member, undefined, () => connect(ring, rank, stepTimeoutMs))),
  );
  // Whoever could not be reached explains why somebody was not reached.
  const failed =
    connected.findIndex((answer) => answer?.because === 'successor') + 1 || connected.findIndex(Boolean) + 1;
  if (failed === 0) return { isReady: true };
  const { because, reason } = connected[failed - 1]!;
  const [self, before, after] = [failed - 1, failed - 2, failed].map((rank) => neighbour(ring, rank).member.name);
  const [from, to] = because === 'predecessor' ? [before!, self!] : [self!, after!];
  return giveUp(`${from} cannot reach ${to}: ${reason}`);
}

async function prepare(member: Member, token: string): Promise<Listener | (Refusal & { readonly member: Member })> {
  member.transport.send({ kind: 'ringPrepare', token });
  const answer = await receiveKind(member.transport, LIMITS.prepareMs, 'ringListening', 'ringUnavailable');
  return answer.kind === 'ringListening' ? { member, url: answer.url } : { ...answer, member };
}

/** Tells a member its place, and waits until both of its neighbours are connected; returns why not otherwise. */
async function connect(ring: readonly Listener[], rank: number, stepTimeoutMs: number): Promise<Refusal | undefined> {
  const { transport } = ring[rank]!.member;
  const successor = neighbour(ring, rank + 1);
  transport.send({
    kind: 'ringConnect',
    rank,
    size: ring.length,
    successorUrl: successor.url,
    successor: successor.member.name,
    predecessor: neighbour(ring, rank - 1).member.name,
    stepTimeoutMs: Math.ceil(stepTimeoutMs),
  });
  const answer = await receiveKind(transport, LIMITS.prepareMs, 'ringReady', 'ringUnavailable');
  return answer.kind === 'ringReady' ? undefined : answer;
}

/** Members of one machine stand side by side, so that as few links as can be lead from one machine to another. */
function orderByMachine(listeners: readonly Listener[]): Listener[] {
  const hosts = listeners.map(({ url }) => (URL.canParse(url) ? new URL(url).hostname : url));
  return [...listeners.entries()]
    .sort(([a], [b]) => hosts.indexOf(hosts[a]!) - hosts.indexOf(hosts[b]!) || a - b)
    .map(([, listener]) => listener);
}

function neighbour(ring: readonly Listener[], rank: number): Listener {
  return ring[(rank + ring.length) % ring.length]!;
}
