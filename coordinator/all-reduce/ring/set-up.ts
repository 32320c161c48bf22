/**
 * Ring set-up: every member listens for its predecessor and connects to its successor, in an order that is made here.
 * Nothing is taken for granted: when one member cannot reach another, or is lost, all are told to let go.
 */
import { randomBytes } from 'node:crypto';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import type { Member } from '../../members/member.ts';
import type { Conversation } from './conversation.ts';

export interface RingSetUpOptions {
  readonly conversation: Conversation;
  /** Told to the members: the longest that each other's part of a step may take. */
  readonly stepTimeoutMs: number;
  /** Two members that are not to be neighbours, if there are enough others. */
  readonly apart?: readonly [Member, Member] | undefined;
}

/** A member that can be reached. */
interface Listener {
  readonly member: Member;
  readonly url: string;
}

/** The members in their order around a ring that stands; undefined when there can be none, and the conversation says why. */
export async function setUpRing(
  members: readonly Member[],
  options: RingSetUpOptions,
): Promise<readonly Member[] | undefined> {
  const { conversation } = options;
  const isOver = () => conversation.end !== undefined;
  const token = randomBytes(32).toString('hex');
  conversation.tell(members, undefined, () => ({ kind: 'ringPrepare', token }));
  const listeners = await Promise.all(members.map((member) => hearListener(member, conversation)));
  if (!isOver()) {
    const ring = keepApart(orderByMachine(listeners.filter((listener) => listener !== undefined)), options.apart);
    await connectAll(ring, options);
    if (!isOver()) return ring.map(({ member }) => member);
  }
  await conversation.allGone();
  return undefined;
}

async function hearListener(member: Member, conversation: Conversation): Promise<Listener | undefined> {
  const answer = await conversation.hear(member, { timeoutMs: LIMITS.prepareMs }, 'ringListening', 'ringUnavailable');
  if (answer?.kind === 'ringListening') return { member, url: answer.url };
  if (answer) conversation.endFor({ reason: `${member.name} cannot listen for other workers: ${answer.reason}` });
  return undefined;
}

/** Tells all members their places, and waits until everyone's neighbours are connected. */
async function connectAll(ring: readonly Listener[], { conversation, stepTimeoutMs }: RingSetUpOptions): Promise<void> {
  const members = ring.map(({ member }) => member);
  conversation.tell(members, undefined, (member) => {
    const rank = members.indexOf(member);
    const successor = neighbour(ring, rank + 1);
    return {
      kind: 'ringConnect',
      rank,
      size: ring.length,
      successorUrl: successor.url,
      successor: successor.member.name,
      predecessor: neighbour(ring, rank - 1).member.name,
      stepTimeoutMs: Math.ceil(stepTimeoutMs),
    };
  });
  await Promise.all(
    members.map(async (member, rank) => {
      const answer = await conversation.hear(member, { timeoutMs: LIMITS.prepareMs }, 'ringReady', 'ringUnavailable');
      if (answer?.kind !== 'ringUnavailable') return;
      const [from, to] = answer.because === 'predecessor' ? [rank - 1, rank] : [rank, rank + 1];
      const between = [neighbour(ring, from).member, neighbour(ring, to).member] as const;
      conversation.endFor({ reason: `${between[0].name} cannot reach ${between[1].name}: ${answer.reason}`, between });
    }),
  );
}

/** Members of one machine stand side by side, so that as few links as can be lead from one machine to another. */
function orderByMachine(listeners: readonly Listener[]): Listener[] {
  const hosts = listeners.map(({ url }) => (URL.canParse(url) ? new URL(url).hostname : url));
  return [...listeners.entries()]
    .sort(([a], [b]) => hosts.indexOf(hosts[a]!) - hosts.indexOf(hosts[b]!) || a - b)
    .map(([, listener]) => listener);
}

/** The ring with one more member between two neighbours; of three members, each has both others as neighbours anyway. */
function keepApart(ring: readonly Listener[], apart: RingSetUpOptions['apart']): readonly Listener[] {
  const first = ring.findIndex(({ member }, rank) => {
    const pair = [member, neighbour(ring, rank + 1).member];
    return apart?.every((one) => pair.includes(one));
  });
  if (first === -1) return ring;
  // Turned so that the two come first.
  const turned = [...ring.slice(first), ...ring.slice(0, first)];
  const [before, after, next, ...rest] = turned;
  return next ? [before!, next, after!, ...rest] : ring;
}

function neighbour(ring: readonly Listener[], rank: number): Listener {
  return ring[(rank + ring.length) % ring.length]!;
}
