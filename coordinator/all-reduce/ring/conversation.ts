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

export function createConversation(members: readonly Member[], options: ConversationOptions): Conversation {
  return new RingConversation(members, options);
}

class RingConversation implements Conversation {
  readonly #members: readonly Member[];
  readonly #options: ConversationOptions;
  /** Those that have let go, or are lost. */
  readonly #gone = new Set<Member>();
  #end: RingEnd | undefined;
  #hasLost = false;
  #standsAt = 0;

  constructor(members: readonly Member[], options: ConversationOptions) {
    this.#members = members;
    this.#options = options;
  }

  get end(): RingEnd | undefined {
    return this.#end;
  }

  get hasLost(): boolean {
    return this.#hasLost;
  }

  stand(step: number): void {
    this.#standsAt = step;
  }

  tell(members: readonly Member[], step: number | undefined, messageFor: (member: Member) => Message): void {
    const failures: (readonly [Member, unknown])[] = [];
    for (const member of members) {
      if (this.#isGone(member)) continue;
      try {
        member.transport.send(messageFor(member));
      } catch (error) {
        failures.push([member, error]);
      }
    }
    // Not before everyone has been told: what ends a ring must not overtake what all members are told.
    for (const [member, error] of failures) this.lose(member, step, error);
  }

  async hear<K extends MessageKind>(member: Member, wait: Wait, ...kinds: K[]): Promise<MessageOf<K> | undefined> {
    if (this.#isGone(member)) return undefined;
    try {
      for (let numLeftOver = 0; numLeftOver <= MOST_LEFT_OVER; numLeftOver++) {
        const message = await this.#next(member, wait, kinds);
        if (message.kind === 'ringClosed') {
          this.#checkLeave(message as MessageOf<'ringClosed'>);
          this.#gone.add(member);
          return undefined;
        }
        if (!this.#end) return message as MessageOf<K>;
      }
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'it goes on in a ring that has ended');
    } catch (error) {
      this.lose(member, wait.step, error);
      return undefined;
    }
  }

  lose(member: Member, step: number | undefined, error: unknown): void {
    if (this.#gone.has(member)) return;
    this.#gone.add(member);
    this.#options.lose(member, step, error);
    this.#hasLost = true;
    this.endFor({ reason: `${member.name} was lost` });
  }

  endFor(end: RingEnd): void {
    if (this.#end) return;
    this.#end = end;
    this.tell(this.#members, undefined, () => ({ kind: 'ringClose', reason: end.reason.slice(0, 5000) }));
  }

  async allGone(): Promise<void> {
    const { leaveMs } = this.#options;
    await Promise.all(this.#members.map((member) => this.hear(member, { timeoutMs: leaveMs(member) })));
  }

  #isGone(member: Member): boolean {
    return this.#gone.has(member) || !this.#options.isMember(member);
  }

  /** Throws ERR_UNEXPECTED_MESSAGE or ERR_STATE_MISMATCH unless a member's last word is what it must be. */
  #checkLeave({ step }: MessageOf<'ringClosed'>): void {
    if (!this.#end) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'it left the ring, which nobody had ended');
    const expected = this.#standsAt;
    if (step === expected) return;
    throw new ProtocolError('ERR_STATE_MISMATCH', `it stands at step ${step}, expected ${expected}`, {
      step: expected,
    });
  }

  /** The member's next message. One that is late, or that the ring's end overtakes, is given the time to let go. */
  async #next<K extends MessageKind>(member: Member, { timeoutMs, ifLate }: Wait, kinds: readonly K[]) {
    const { transport } = member;
    if (!this.#end) {
      try {
        return asKind(await transport.receive(timeoutMs, kinds.join(' or ')), [...kinds, 'ringClosed']);
      } catch (error) {
        if (!(error instanceof ProtocolError) || error.code !== 'ERR_TIMEOUT') throw error;
        if (ifLate) this.endFor(ifLate);
        // A connection that has ended rejects at once again.
        if (!this.#hasEnded()) throw error;
      }
    }
    return asKind(await transport.receive(this.#options.leaveMs(member), 'ringClosed'), LEFT_OVER);
  }

  /** A call, so that the compiler does not assume that nothing changed while it waited. */
  #hasEnded(): boolean {
    return this.#end !== undefined;
  }
}
