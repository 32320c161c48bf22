/**
 * Conversation: what the coordinator says to the members of one ring and hears from them, from the set-up to the end.
 *
 * A ring ends for all of its members at once, no matter who finds it broken. Every member is told to let go, and what
 * was on its way from them is read until each has said that it has let go: so nothing of the ring is left over for what
 * comes next. A member that does not say so in time is lost.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { Message, MessageKind, MessageOf } from '../../../protocol/wire/messages.ts';
import { asKind } from '../../../protocol/wire/transport.ts';
import type { Member } from '../../members/member.ts';

/** Why a ring has ended. */
export interface RingEnd {
  readonly reason: string;
  /** The members whose link has failed, if one did. */
  readonly between?: readonly [Member, Member] | undefined;
}

export interface ConversationOptions {
  /** Takes out a member that failed; see `Fleet`. */
  readonly lose: (member: Member, step: number | undefined, error: unknown) => void;
  /** Whether it still is a member; one that was set aside lets go of the ring by itself, with the state that it is sent. */
  readonly isMember: (member: Member) => boolean;
  /** How long a member may take to let go. */
  readonly leaveMs: (member: Member) => number;
}

/** What to do about a member that does not answer. */
export interface Wait {
  /** For messages to people. */
  readonly step?: number | undefined;
  readonly timeoutMs: number;
  /** It may be another's fault: ends the ring, and who then does not let go is lost. Else the member itself is lost. */
  readonly ifLate?: RingEnd | undefined;
}

export interface Conversation {
  /** Why the ring has ended, once it has. */
  readonly end: RingEnd | undefined;
  /** Whether a member was lost. */
  readonly hasLost: boolean;
  /** The step at which all members stand. */
  stand(step: number): void;
  /** Sends to all that are left of `members`, then loses those to whom it could not be sent. */
  tell(members: readonly Member[], step: number | undefined, messageFor: (member: Member) => Message): void;
  /** The next message from a member, of one of `kinds`. Undefined when the ring has ended, and the member let go or is lost. */
  hear<K extends MessageKind>(member: Member, wait: Wait, ...kinds: K[]): Promise<MessageOf<K> | undefined>;
  /** Loses a member, and with it the ring. */
  lose(member: Member, step: number | undefined, error: unknown): void;
  /** Tells everyone to let go; only the first reason counts. */
  endFor(end: RingEnd): void;
  /** When the ring has ended and nobody is being heard: resolves when everyone has let go or is lost. */
  allGone(): Promise<void>;
}

/** What may be on its way from a member that is told to let go. */
const LEFT_OVER = [
  'ringListening',
  'ringUnavailable',
  'ringReady',
  'ringSum',
  'ringDone',
  'ringBroken',
  'ringClosed',
] as const;
/** A sum, what became of the exchange, and its last word. */
const MOST_LEFT_OVER = 3;

export function createConversation(
  members: readonly Member[],
  { lose, isMember, leaveMs }: ConversationOptions,
): Conversation {
  /** Those that have let go, or are lost. */
  const gone = new Set<Member>();
  let end: RingEnd | undefined;
  let hasLost = false;
  let standsAt = 0;

  const isGone = (member: Member): boolean => gone.has(member) || !isMember(member);

  const takeOut = (member: Member, step: number | undefined, error: unknown) => {
    if (gone.has(member)) return;
    gone.add(member);
    lose(member, step, error);
    hasLost = true;
    endFor({ reason: `${member.name} was lost` });
  };

  const tell: Conversation['tell'] = (to, step, messageFor) => {
    const failures: (readonly [Member, unknown])[] = [];
    for (const member of to) {
      if (isGone(member)) continue;
      try {
        member.transport.send(messageFor(member));
      } catch (error) {
        failures.push([member, error]);
      }
    }
    // Not before everyone has been told: what ends a ring must not overtake what all of it are told.
    for (const [member, error] of failures) takeOut(member, step, error);
  };

  const endFor = (reason: RingEnd) => {
    if (end) return;
    end = reason;
    tell(members, undefined, () => ({ kind: 'ringClose', reason: reason.reason.slice(0, 5000) }));
  };

  /** A member's last word, if it is what it must be. */
  const checkLeave = ({ step }: MessageOf<'ringClosed'>) => {
    if (!end) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'it left the ring, which nobody had ended');
    if (step === standsAt) return;
    const message = `it stands at step ${step}, expected ${standsAt}`;
    throw new ProtocolError('ERR_STATE_MISMATCH', message, { step: standsAt });
  };

  const isOver = (): boolean => end !== undefined;

  /** The next message, or what to make of there being none. */
  const next = async <K extends MessageKind>(member: Member, { timeoutMs, ifLate }: Wait, kinds: readonly K[]) => {
    const { transport } = member;
    if (isOver()) return asKind(await transport.receive(leaveMs(member), 'ringClosed'), LEFT_OVER);
    try {
      const awaited = await transport.receive(timeoutMs, kinds.join(' or '));
      return asKind(awaited, [...kinds, 'ringClosed']);
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'ERR_TIMEOUT') throw error;
      if (ifLate) endFor(ifLate);
      // Told to let go in the meantime, it has the time for that; a connection that has ended rejects at once again.
      if (!isOver()) throw error;
      return asKind(await transport.receive(leaveMs(member), 'ringClosed'), LEFT_OVER);
    }
  };

  return {
    get end() {
      return end;
    },
    get hasLost() {
      return hasLost;
    },
    stand(step) {
      standsAt = step;
    },
    tell,
    async hear<K extends MessageKind>(member: Member, wait: Wait, ...kinds: K[]) {
      if (isGone(member)) return undefined;
      try {
        for (let numLeftOver = 0; numLeftOver <= MOST_LEFT_OVER; numLeftOver++) {
          const message = await next(member, wait, kinds);
          if (message.kind === 'ringClosed') {
            checkLeave(message as MessageOf<'ringClosed'>);
            gone.add(member);
            return undefined;
          }
          if (!end) return message as MessageOf<K>;
        }
        throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'it goes on in a ring that has ended');
      } catch (error) {
        takeOut(member, wait.step, error);
        return undefined;
      }
    },
    lose: takeOut,
    endFor,
    async allGone() {
      await Promise.all(members.map((member) => this.hear(member, { timeoutMs: leaveMs(member) })));
    },
  };
}
