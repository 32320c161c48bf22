/**
 * Answers: what members send of a step, part by part, and which of it counts. A node that another member has answered
 * first, or that another is to compute, is passed over when it comes.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import { BUCKETS_AHEAD } from '../../../protocol/vectors/buckets.ts';
import type { MessageOf } from '../../../protocol/wire/messages.ts';
import { ReceiveInterrupted, receiveKind, ReceiveTimeout } from '../../../protocol/wire/transport.ts';
import type { Ledger } from '../../step/ledger.ts';
import type { Member } from '../../members/member.ts';
import type { Patience } from '../../step/deadlines.ts';
import type { Arrival } from '../all-reduce.ts';
import { PARTS } from '../../members/state-proof.ts';
import type { Part } from '../../members/state-proof.ts';

export interface AnswersOptions {
  readonly patience: Patience;
  readonly numBuckets: number;
  /** Averages of the open step that members have been sent. */
  readonly numAverages: () => number;
}

/** One step's. */
export interface StepAnswers {
  readonly ledger: Ledger;
  /** Called with every part of a vector that counts. */
  add(member: Member, bucket: number, node: TreeNode, payload: Uint8Array<ArrayBuffer>): void;
  /** Called when a node is done. */
  entered?(member: Member, node: TreeNode): void;
  /** Called when a member says that a node's sum is not finite; throws what becomes of it. */
  notFinite(member: Member, node: TreeNode, what: string): never;
}

export interface Answers {
  /** Tells that a member was asked for more just now: its deadline begins anew. */
  asked(member: Member): void;
  /** Tells that an average was sent just now: members that waited for it have something to do again. */
  averageSent(): void;
  /** Begins a step. */
  open(answers: StepAnswers): void;
  /** Receives everything that a member owes; rejects with what is wrong with it. */
  collectFrom(member: Member): Promise<void>;
  /** Whether a member has sent all that it can send before averages are back. */
  isHeldBack(member: Member): boolean;
  /** Whether another member has answered first in what this one owed in the step. */
  isOvertaken(member: Member): boolean;
  /** Whether a part is of a node that another member has answered first; its last part settles that. */
  isSuperseded(member: Member, part: Part): boolean;
  /** Forgets what is still to come of a member. */
  forget(member: Member): void;
  /** In order of arrival: members that had a part in the step. */
  arrivals(): Arrival[];
}

/** An arrival whose answers are still coming. */
type OpenArrival = { -readonly [K in keyof Arrival]: Arrival[K] };

export function createAnswers({ patience, numBuckets, numAverages }: AnswersOptions): Answers {
  const last = numBuckets - 1;
  /** What is to be passed over when it comes. */
  const unwanted = new WeakMap<Member, { step: number; node: TreeNode }[]>();
  const arrivals = new Map<Member, OpenArrival>();
  /** The bucket of its sum that a member is to send next. */
  const awaited = new Map<Member, number>();
  const overtaken = new Set<Member>();
  const askedAtMs = new WeakMap<Member, number>();
  let averageSentAtMs = 0;
  let step!: StepAnswers;

  const arrivalOf = (member: Member): OpenArrival => {
    const arrival = arrivals.get(member) ?? openArrival(member);
    arrivals.set(member, arrival);
    return arrival;
  };

  const isHeldBack = (member: Member) =>
    (awaited.get(member) ?? 0) >= numAverages() + BUCKETS_AHEAD && step.ledger.owedBy(member).length <= 1;

  /** The next part of a member's answer, within its deadline. */
  const receivePart = async (member: Member): Promise<Part> => {
    const startMs = performance.now();
    /** Since when it has had something to do. */
    const sinceMs = () => Math.max(startMs, averageSentAtMs, askedAtMs.get(member) ?? 0);
    let timeoutMs = patience.of(member);
    for (;;) {
      try {
        const part = await receiveKind(member.transport, timeoutMs, ...PARTS);
        patience.observe(member, performance.now() - sinceMs());
        return part;
      } catch (error) {
        if (!(error instanceof ReceiveTimeout)) throw error;
        // One that waits for averages, as all must for the slowest, is not late.
        timeoutMs = patience.of(member);
        if (isHeldBack(member)) continue;
        timeoutMs = Math.ceil(sinceMs() + timeoutMs - performance.now());
        if (timeoutMs <= 0) throw error;
      }
    }
  };

  const passOver = (member: Member, stepNumber: number, node: TreeNode) => {
    const nodes = unwanted.get(member) ?? [];
    nodes.push({ step: stepNumber, node });
    unwanted.set(member, nodes);
  };

  /** Whether a part is of what is to be passed over; its last part settles that. */
  const isUnwanted = (member: Member, part: Part): boolean => {
    const nodes = unwanted.get(member) ?? [];
    const at = nodes.findIndex(({ step: stepNumber, node }) => {
      return stepNumber === part.step && node.first === part.firstMicrobatch && node.count === part.numMicrobatches;
    });
    if (at !== -1 && part.kind !== 'gradientBucket') nodes.splice(at, 1);
    return at !== -1;
  };

  const enter = (member: Member, result: MessageOf<'gradient'>) => {
    const { node, overtaken: others } = step.ledger.enter(member, result);
    for (const other of others) {
      passOver(other, result.step, node);
      overtaken.add(other);
      if (step.ledger.isDone(other)) other.transport.interrupt();
    }
    const arrival = arrivalOf(member);
    arrival.atMs = performance.now();
    addTimes(arrival, result);
    step.entered?.(member, node);
  };

  const takePart = (member: Member, part: Part, next: { bucket: number; first: number }) => {
    const { ledger } = step;
    if (part.kind === 'notFinite') {
      step.notFinite(member, ledger.expect(member, part), part.what);
    }
    const bucket = part.kind === 'gradient' ? last : part.bucket;
    if (bucket !== next.bucket || (bucket > 0 && part.firstMicrobatch !== next.first)) {
      const message = `bucket ${bucket} of microbatch ${part.firstMicrobatch}, expected bucket ${next.bucket}`;
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', message);
    }
    // What is wrong with a payload must be found before its microbatches count as done.
    step.add(member, bucket, ledger.expect(member, part), part.payload);
    if (part.kind === 'gradient') enter(member, part);
    return { bucket: part.kind === 'gradient' ? 0 : bucket + 1, first: part.firstMicrobatch };
  };

  return {
    asked: (member) => void askedAtMs.set(member, performance.now()),
    averageSent() {
      averageSentAtMs = performance.now();
    },
    open(answers) {
      step = answers;
      arrivals.clear();
      awaited.clear();
      overtaken.clear();
    },
    async collectFrom(member) {
      const { ledger } = step;
      const fresh = { bucket: 0, first: -1 };
      let next = fresh;
      try {
        while (!ledger.isDone(member)) {
          awaited.set(member, next.bucket);
          const part = await receivePart(member);
          if (!isUnwanted(member, part)) {
            next = takePart(member, part, next);
            continue;
          }
          next = fresh;
          if ('payload' in part) member.transport.recycle(part.payload);
        }
      } catch (error) {
        // Another has answered all that this one owed.
        if (!(error instanceof ReceiveInterrupted)) throw error;
      } finally {
        awaited.delete(member);
      }
    },
    isHeldBack,
    isSuperseded: isUnwanted,
    isOvertaken: (member) => overtaken.has(member),
    forget: (member) => void unwanted.delete(member),
    arrivals: () => [...arrivals.values()].sort((a, b) => a.atMs - b.atMs),
  };
}

const openArrival = (member: Member): OpenArrival => {
  return { member, atMs: 0, numSamples: 0, computeMs: 0, encodeMs: 0, applyMs: 0 };
};

function addTimes(arrival: OpenArrival, result: MessageOf<'gradient'>): void {
  arrival.computeMs += result.computeMs;
  arrival.encodeMs += result.encodeMs;
  arrival.applyMs = result.applyMs;
  for (const { numSamples } of result.microbatches) arrival.numSamples += numSamples;
}
