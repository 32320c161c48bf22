/** Traffic: the bytes that an epoch sends and receives, between the coordinator and its workers, and between workers. */
import type { PeerExchange } from '../all-reduce/all-reduce.ts';
import type { Member } from '../members/member.ts';

export interface Bytes {
  readonly sent: number;
  readonly received: number;
  /** Of those: payloads that lay in shared memory. */
  readonly sharedSent: number;
  readonly sharedReceived: number;
}

const NO_BYTES: Bytes = { sent: 0, received: 0, sharedSent: 0, sharedReceived: 0 };

/** Of one epoch, from its creation on. */
export class Traffic {
  /** By connection, what it had carried before: a worker that comes back has several connections. */
  readonly #before: Map<Member, Bytes>;
  /** Between workers; each byte is sent by one and received by another. */
  #betweenWorkers = NO_BYTES;
  #lastTotal = NO_BYTES;

  constructor(members: readonly Member[]) {
    this.#before = new Map(members.map((member) => [member, bytesOf(member)]));
  }

  /** Workers that took part, by their ids. */
  get numWorkers(): number {
    return new Set([...this.#before.keys()].map(({ id }) => id)).size;
  }

  /** A member has a part in a step. One that joined in this epoch was sent the state during it. */
  tookPart(member: Member): void {
    if (!this.#before.has(member)) this.#before.set(member, NO_BYTES);
  }

  exchanged({ bytesSent, bytesReceived }: PeerExchange): void {
    this.#betweenWorkers = plus(this.#betweenWorkers, { ...NO_BYTES, sent: bytesSent, received: bytesReceived });
  }

  /** Since the epoch began. */
  total(): Bytes {
    let total = this.#betweenWorkers;
    for (const [member, before] of this.#before) total = plus(total, minus(bytesOf(member), before));
    return total;
  }

  /** Since the last call, or since the epoch began. */
  sinceLast(): Bytes {
    const total = this.total();
    const since = minus(total, this.#lastTotal);
    this.#lastTotal = total;
    return since;
  }
}

/** Bytes of frames to and from a worker so far. Evaluation's few bytes count towards the epoch they end. */
const bytesOf = ({ transport }: Member): Bytes => ({
  sent: transport.bytesSent,
  received: transport.bytesReceived,
  sharedSent: transport.sharedBytesSent,
  sharedReceived: transport.sharedBytesReceived,
});

const combine = (a: Bytes, b: Bytes, of: (x: number, y: number) => number): Bytes => ({
  sent: of(a.sent, b.sent),
  received: of(a.received, b.received),
  sharedSent: of(a.sharedSent, b.sharedSent),
  sharedReceived: of(a.sharedReceived, b.sharedReceived),
});
const plus = (a: Bytes, b: Bytes): Bytes => combine(a, b, (x, y) => x + y);
const minus = (a: Bytes, b: Bytes): Bytes => combine(a, b, (x, y) => x - y);
