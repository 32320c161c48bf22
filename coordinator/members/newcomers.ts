/** The newcomers of a run: brings each up to the replica's state, and hands over those that have it. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { Message, MessageOf } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Member } from './member.ts';
import { Newcomer } from './newcomer.ts';

/**
 * A newcomer that has not answered this many messages, or averages of this many bytes, is sent no more. When it has
 * caught up, it is sent the state again. Both limits are below what may be queued for it, see `limits.ts`.
 */
const MAX_UNANSWERED = 16;
const MAX_UNANSWERED_BYTES = 16 * 2 ** 20;

/** What may come before the proof of one that was set aside. */
const LATE_KINDS = ['applied', 'gradientBucket', 'gradient', 'notFinite', 'evaluation'] as const;

/** What the fleet decides of a newcomer that is where the replica is. */
export type Place = 'member' | 'standingBy' | 'waiting';

export interface NewcomersOptions {
  readonly replica: Replica;
  /** For an answer. */
  readonly stepTimeoutMs: number;
  /** Into how many buckets averages are cut now. */
  readonly numBuckets: () => number;
  /** Where one that is up to date goes now. */
  readonly placeFor: () => Place;
  /** Takes one over as a member, or into the waiting room: it is a newcomer no more. */
  readonly handOver: (member: Member, place: Exclude<Place, 'standingBy'>) => void;
  /** One is up to date, and has no work. */
  readonly onStandBy: (member: Member) => void;
  /** One has failed. */
  readonly onFailure: (member: Member, error: unknown) => void;
}

export class Newcomers {
  readonly #options: NewcomersOptions;
  readonly #newcomers = new Set<Newcomer>();
  /** The last state that was copied, for all who are sent it: many workers may come at once. */
  #copied: Extract<Message, { kind: 'snapshot' }> | undefined;

  constructor(options: NewcomersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#newcomers.size;
  }

  get numUpToDate(): number {
    return [...this.#newcomers].filter(({ state }) => state === 'upToDate').length;
  }

  /** Begins to bring a worker up; `wasSetAside`: whether it has been a member, and may still send results. */
  add(member: Member, wasSetAside: boolean): void {
    const newcomer = new Newcomer(member, wasSetAside);
    this.#newcomers.add(newcomer);
    this.#catchUp(newcomer).catch((error: unknown) => this.#fail(newcomer, error));
  }

  /** Has those that are up to date prove their state once more: their answer makes them members, if there is work now. */
  recall(): void {
    for (const newcomer of this.#newcomers) {
      if (newcomer.state !== 'upToDate') continue;
      try {
        newcomer.sentAgain(this.#options.replica.step);
        this.#send(newcomer, this.#snapshot());
      } catch (error) {
        this.#fail(newcomer, error);
      }
    }
  }

  /** Gives an average to newcomers too, up to its last step: its messages, whose payloads are copied. */
  follow(lastStep: number, messages: () => readonly Message[]): void {
    if (this.#newcomers.size === 0) return;
    const copies = messages().map(withOwnPayload);
    const numBytes = copies.reduce((sum, message) => sum + ('payload' in message ? message.payload.byteLength : 0), 0);
    const mostUnanswered = Math.min(MAX_UNANSWERED, Math.max(2, Math.floor(MAX_UNANSWERED_BYTES / numBytes)));
    for (const newcomer of this.#newcomers) {
      const { sentStep, numUnanswered } = newcomer;
      // Too far behind, or the state that it has been sent is not the one that this average is for.
      if (sentStep !== this.#options.replica.step || numUnanswered >= mostUnanswered) continue;
      try {
        for (const message of copies) this.#send(newcomer, message);
        newcomer.sent(lastStep);
      } catch (error) {
        this.#fail(newcomer, error);
      }
    }
  }

  /** Tells all of them to keep waiting. */
  hold(): void {
    for (const newcomer of this.#newcomers) {
      try {
        this.#send(newcomer, { kind: 'hold' });
      } catch (error) {
        this.#fail(newcomer, error);
      }
    }
  }

  /** Forgets all of them. */
  clear(): void {
    this.#newcomers.clear();
    this.#copied = undefined;
  }

  /** Sends the state to a newcomer, and takes its proofs, until it is a newcomer no more. */
  async #catchUp(newcomer: Newcomer): Promise<void> {
    const { replica, placeFor, onStandBy } = this.#options;
    this.#sendState(newcomer);
    while (this.#newcomers.has(newcomer)) {
      const { step, parametersSha256 } = await this.#receiveProof(newcomer);
      newcomer.proved(step);
      if (step === replica.step && parametersSha256 !== this.#snapshot().parametersSha256) {
        throw new ProtocolError('ERR_STATE_MISMATCH', `its parameters at step ${step} are not the coordinator's`);
      }
      const isUpToDate = newcomer.state === 'upToDate';
      if (isUpToDate && placeFor() === 'waiting') {
        this.#handOver(newcomer, 'waiting');
        return;
      }
      if (isUpToDate && step < replica.step) this.#sendState(newcomer);
      this.#promote();
      // A member's answers are for the code that gives it work.
      if (!this.#newcomers.has(newcomer)) return;
      if (step === replica.step && placeFor() === 'standingBy') onStandBy(newcomer.member);
    }
  }

  /** The next proof; results that one which was set aside still sends are passed over. */
  async #receiveProof(newcomer: Newcomer): Promise<MessageOf<'applied'>> {
    const { transport } = newcomer.member;
    const kinds = newcomer.wasSetAside ? LATE_KINDS : (['applied'] as const);
    for (;;) {
      // One that is up to date has nothing to answer until a step ends.
      const timeoutMs = newcomer.state === 'upToDate' ? LIMITS.longestWaitMs : this.#options.stepTimeoutMs;
      const answer = await receiveKind(transport, timeoutMs, ...kinds);
      if (answer.kind === 'applied') return answer;
      if ('payload' in answer) transport.recycle(answer.payload);
    }
  }

  /** Newcomers that are where the replica is become members, as long as there is work for them. */
  #promote(): void {
    const { replica, placeFor } = this.#options;
    for (const newcomer of this.#newcomers) {
      if (placeFor() !== 'member') return;
      if (newcomer.isAt(replica.step)) this.#handOver(newcomer, 'member');
    }
  }

  #handOver(newcomer: Newcomer, place: Exclude<Place, 'standingBy'>): void {
    this.#remove(newcomer);
    this.#options.handOver(newcomer.member, place);
  }

  #fail(newcomer: Newcomer, error: unknown): void {
    if (this.#remove(newcomer)) this.#options.onFailure(newcomer.member, error);
  }

  /** Returns whether it was there. */
  #remove(newcomer: Newcomer): boolean {
    const wasThere = this.#newcomers.delete(newcomer);
    if (this.#newcomers.size === 0) this.#copied = undefined;
    return wasThere;
  }

  #sendState(newcomer: Newcomer): void {
    newcomer.sent(this.#options.replica.step);
    this.#send(newcomer, this.#snapshot());
  }

  /** A copy of the state, with its sum, made once for each step. */
  #snapshot(): Extract<Message, { kind: 'snapshot' }> {
    const { replica } = this.#options;
    const numBuckets = this.#options.numBuckets();
    if (this.#copied?.step !== replica.step || this.#copied.numBuckets !== numBuckets) {
      const parametersSha256 = replica.parametersSha256();
      this.#copied = {
        kind: 'snapshot',
        step: replica.step,
        numBuckets,
        parametersSha256,
        payload: replica.state.slice(),
      };
    }
    return this.#copied;
  }

  #send({ member }: Newcomer, message: Message): void {
    member.transport.send(message);
  }
}

const withOwnPayload = (message: Message): Message =>
  'payload' in message ? ({ ...message, payload: message.payload.slice() } as Message) : message;
