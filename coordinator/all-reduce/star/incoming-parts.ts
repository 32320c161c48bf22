/**
 * Incoming parts: receives what members send of the open step, message by message, within their deadlines. What is
 * superseded is passed over.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import { BUCKETS_AHEAD } from '../../../protocol/vectors/buckets.ts';
import type { MessageOf } from '../../../protocol/wire/messages.ts';
import { ReceiveInterrupted, receiveKind, ReceiveTimeout } from '../../../protocol/wire/transport.ts';
import type { Member } from '../../members/member.ts';
import { PARTS } from '../../members/state-proof.ts';
import type { Part } from '../../members/state-proof.ts';
import type { Deadlines } from '../../step/deadlines.ts';
import type { Ledger } from '../../step/ledger.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { Arrival, TimedMessage } from '../all-reduce.ts';
import type { SupersededAnswers } from './superseded.ts';

/** A member found that a part's sum is not finite. */
export interface NotFinite {
  readonly member: Member;
  readonly node: TreeNode;
  /** Which numbers: "the loss", "the gradient of conv1.weight". */
  readonly what: string;
}

export interface IncomingOptions {
  readonly plan: StepPlan;
  readonly ledger: Ledger;
  readonly numBuckets: number;
  readonly deadlines: Deadlines;
  readonly superseded: SupersededAnswers;
  /** Takes a bucket of a part, with its memory. */
  readonly take: (member: Member, bucket: number, node: TreeNode, payload: Uint8Array<ArrayBuffer>) => void;
  /** Called when a part is here. */
  readonly onHere: (member: Member, node: TreeNode) => void;
}

/** An arrival whose answers are still coming. */
type OpenArrival = { -readonly [K in keyof Omit<Arrival, 'timed'>]: Arrival[K] } & { timed?: TimedMessage[] };

/** The bucket of a part that a member sends next. */
interface Place {
  readonly bucket: number;
  readonly firstMicrobatch: number;
}
const AT_NEXT_PART: Place = { bucket: 0, firstMicrobatch: -1 };

/** Of one step. */
export class IncomingParts {
  readonly #options: IncomingOptions;
  readonly #arrivals = new Map<Member, OpenArrival>();
  readonly #overtaken = new Set<Member>();
  /** The bucket that a member is to send next, while it is received from. */
  readonly #nextBucket = new Map<Member, number>();
  readonly #askedAtMs = new Map<Member, number>();
  #numAverages = 0;
  #averageSentAtMs = 0;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** A member was asked for more just now: its deadline begins anew. */
  asked(member: Member): void {
    this.#askedAtMs.set(member, performance.now());
  }

  /** A bucket's average was sent just now: members that waited for it have something to do again. */
  averageSent(): void {
    this.#numAverages++;
    this.#averageSentAtMs = performance.now();
  }

  /** Whether a member has sent all that it may send before averages are back. */
  isHeldBack(member: Member): boolean {
    const isAhead = (this.#nextBucket.get(member) ?? 0) >= this.#numAverages + BUCKETS_AHEAD;
    return isAhead && this.#options.ledger.owedBy(member).length <= 1;
  }

  /** Whether another member answered first in what this one was asked for. */
  isOvertaken(member: Member): boolean {
    return this.#overtaken.has(member);
  }

  /** In order of arrival: members that had a part in the step. */
  arrivals(): readonly Arrival[] {
    return [...this.#arrivals.values()].filter(({ numSamples }) => numSamples > 0).sort((a, b) => a.atMs - b.atMs);
  }

  /**
   * Receives from a member until all that it is asked for is here, from itself or from others. Resolves early with a sum
   * that it found not finite; rejects with what it did wrong.
   */
  async receiveFrom(member: Member): Promise<NotFinite | undefined> {
    const { ledger, superseded } = this.#options;
    let place = AT_NEXT_PART;
    try {
      while (!ledger.isDone(member)) {
        this.#nextBucket.set(member, place.bucket);
        const part = await this.#receivePart(member);
        if (superseded.includes(member, part)) {
          place = AT_NEXT_PART;
          if ('payload' in part) member.transport.recycle(part.payload);
        } else if (part.kind === 'notFinite') {
          return this.#notFinite(member, part);
        } else {
          place = this.#takePart(member, part, place);
        }
      }
    } catch (error) {
      // Another has answered all that this one was asked for.
      if (!(error instanceof ReceiveInterrupted)) throw error;
    } finally {
      this.#nextBucket.delete(member);
    }
    return undefined;
  }

  /** Only when a step is computed once more do members look for what is not finite. */
  #notFinite(member: Member, part: MessageOf<'notFinite'>): NotFinite {
    const { plan, ledger } = this.#options;
    if (plan.isRepeat) return { member, node: ledger.expect(member, part), what: part.what };
    const message = `${part.what} is not finite, which it was not asked for`;
    throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', message, { worker: member.id, step: plan.step });
  }

  /** The next message of a member's answers, within its deadline. */
  async #receivePart(member: Member): Promise<Part> {
    const { deadlines } = this.#options;
    const startMs = performance.now();
    /** Since when it has had something to do. */
    const sinceMs = () => Math.max(startMs, this.#averageSentAtMs, this.#askedAtMs.get(member) ?? 0);
    let timeoutMs = deadlines.of(member);
    for (;;) {
      try {
        const part = await receiveKind(member.transport, timeoutMs, ...PARTS);
        deadlines.observe(member, performance.now() - sinceMs());
        return part;
      } catch (error) {
        if (!(error instanceof ReceiveTimeout)) throw error;
        // One that waits for averages, as all must for the slowest, is not late.
        timeoutMs = deadlines.of(member);
        if (this.isHeldBack(member)) continue;
        timeoutMs = Math.ceil(sinceMs() + timeoutMs - performance.now());
        if (timeoutMs <= 0) throw error;
      }
    }
  }

  /** Takes the bucket that is expected; returns which comes next. */
  #takePart(member: Member, part: Exclude<Part, { kind: 'notFinite' }>, place: Place): Place {
    const { ledger, numBuckets, take } = this.#options;
    const { firstMicrobatch } = part;
    const isLast = part.kind === 'gradient';
    const bucket = isLast ? numBuckets - 1 : part.bucket;
    if (bucket !== place.bucket || (bucket > 0 && firstMicrobatch !== place.firstMicrobatch)) {
      const message = `bucket ${bucket} of microbatch ${firstMicrobatch}, expected bucket ${place.bucket}`;
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', message);
    }
    // What is wrong with a payload must be found before its microbatches count as done.
    const node = ledger.expect(member, part);
    take(member, bucket, node, part.payload);
    ledger.begin(node);
    if (!isLast) return { bucket: bucket + 1, firstMicrobatch };
    this.#enter(member, part);
    return AT_NEXT_PART;
  }

  #enter(member: Member, result: MessageOf<'gradient'>): void {
    const { ledger, superseded, onHere } = this.#options;
    const { node, overtaken } = ledger.enter(member, result);
    for (const other of overtaken) {
      superseded.add(other, result.step, node);
      this.#overtaken.add(other);
      if (ledger.isDone(other)) other.transport.interrupt();
    }
    this.#addArrival(member, result);
    onHere(member, node);
  }

  #addArrival(member: Member, result: MessageOf<'gradient'>): void {
    const arrival = this.#arrivals.get(member) ?? {
      ...{ member, atMs: 0, numSamples: 0 },
      ...{ computeMs: 0, encodeMs: 0, applyMs: 0 },
    };
    this.#arrivals.set(member, arrival);
    arrival.atMs = performance.now();
    arrival.computeMs += result.computeMs;
    arrival.encodeMs += result.encodeMs;
    arrival.applyMs = result.applyMs;
    const before = arrival.numSamples;
    for (const { numSamples } of result.microbatches) arrival.numSamples += numSamples;
    if (!result.moments) return;
    const numBytes = result.payload.byteLength;
    const counts = { numMicrobatches: result.numMicrobatches, numSamples: arrival.numSamples - before, numBytes };
    (arrival.timed ??= []).push({ atMs: arrival.atMs, moments: result.moments, ...counts });
  }
}
