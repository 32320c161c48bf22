/**
 * Metrics: where the wall time of an epoch's steps went. Every millisecond belongs to one named part.
 *
 * A step lasts from the sending of its assignment to the sending of its update. Until the first worker's gradients are
 * there, the time is that worker's own compute, its applying of the update before, and its packing; the rest of it is
 * wire. From the first to the last arrival it is wait, then reduce, then the packing and sending of the update (encode).
 * Where workers exchange their sums among themselves, the time after the last arrival is their packing and adding, and
 * wire for the rest.
 * What is left between steps is other. Durations come from one machine's clock each; clocks are never compared.
 */
import type { Arrival, PeerExchange } from '../all-reduce/all-reduce.ts';
import type { Confirmation } from '../members/state-proof.ts';
import type { Member } from '../members/member.ts';

/** Milliseconds by part; the parts add up to the wall time. */
export interface Breakdown {
  computeMs: number;
  encodeMs: number;
  wireMs: number;
  waitMs: number;
  reduceMs: number;
  applyMs: number;
  otherMs: number;
}

export interface WorkerTotals {
  /** The worker on its last connection: one that comes back goes on with its totals. */
  member: Member;
  samples: number;
  computeMs: number;
  /** From the assignment to its arrival, less computing and applying; and the exchange among workers. */
  communicationMs: number;
  /** From its arrival to the last one's. */
  waitMs: number;
  /** From the assignment to its arrival. */
  arrivalMs: number;
  /** By how much the last one to arrive came after the one before it, over the steps in which that was this worker. */
  delayMs: number;
}

/** The moments of one step on the coordinator's clock. */
export interface StepMoments {
  readonly startMs: number;
  readonly arrivals: readonly Arrival[];
  readonly reducedMs: number;
  /** When the update had been handed to every socket: the next step's start. */
  readonly sentMs: number;
  /** The coordinator's own applying of the update before, done while workers did the same. */
  readonly ownApplyMs: number;
  /** What the workers did among themselves from the last arrival to `reducedMs`. */
  readonly peerExchange?: Pick<PeerExchange, 'encodeMs' | 'reduceMs'> | undefined;
}

export interface EpochMetrics {
  recordStep(moments: StepMoments): void;
  /** The end of an epoch: from the last update to the last proof. */
  recordConfirmation(startMs: number, confirmations: readonly Confirmation[], ownApplyMs: number): void;
  /** Closes the epoch at `endMs` on the same clock. */
  close(endMs: number): { wallMs: number; breakdown: Breakdown; workers: WorkerTotals[]; slowest: WorkerTotals };
}

/** `members`: those at the start; others are added when they arrive. */
export function openEpochMetrics(startMs: number, members: readonly Member[]): EpochMetrics {
  const parts: Breakdown = {
    computeMs: 0,
    encodeMs: 0,
    wireMs: 0,
    waitMs: 0,
    reduceMs: 0,
    applyMs: 0,
    otherMs: 0,
  };
  /** By the worker's id. */
  const workers = new Map<string, WorkerTotals>();
  const totalsOf = (member: Member): WorkerTotals => {
    const totals = workers.get(member.id) ?? createTotals(member);
    workers.set(member.id, totals);
    totals.member = member;
    return totals;
  };
  for (const member of members) totalsOf(member);

  return {
    recordStep({ startMs, arrivals, reducedMs, sentMs, ownApplyMs, peerExchange }) {
      const first = arrivals[0]!;
      const lastMs = arrivals.at(-1)!.atMs;
      // A worker may have begun before the sending to all was over: its own durations then exceed the time seen here.
      const untilFirst = createBudget(first.atMs - startMs);
      parts.computeMs += untilFirst.take(first.computeMs);
      parts.applyMs += untilFirst.take(Math.max(first.applyMs, ownApplyMs));
      parts.encodeMs += untilFirst.take(first.encodeMs) + (sentMs - reducedMs);
      parts.wireMs += untilFirst.rest();
      parts.waitMs += lastMs - first.atMs;
      const exchangeMs = peerExchange ? reducedMs - lastMs : 0;
      const untilReduced = createBudget(reducedMs - lastMs);
      if (peerExchange) {
        parts.encodeMs += untilReduced.take(peerExchange.encodeMs);
        parts.reduceMs += untilReduced.take(peerExchange.reduceMs);
        parts.wireMs += untilReduced.rest();
      } else {
        parts.reduceMs += untilReduced.rest();
      }
      for (const arrival of arrivals) {
        const totals = totalsOf(arrival.member);
        const sinceStartMs = arrival.atMs - startMs;
        totals.samples += arrival.numSamples;
        totals.computeMs += arrival.computeMs;
        totals.communicationMs += Math.max(0, sinceStartMs - arrival.computeMs - arrival.applyMs) + exchangeMs;
        totals.waitMs += lastMs - arrival.atMs;
        totals.arrivalMs += sinceStartMs;
      }
      const beforeLast = arrivals.at(-2);
      if (beforeLast) totalsOf(arrivals.at(-1)!.member).delayMs += lastMs - beforeLast.atMs;
    },

    recordConfirmation(startMs, confirmations, ownApplyMs) {
      const inOrder = [...confirmations].sort((a, b) => a.atMs - b.atMs);
      const [first] = inOrder;
      // All of them were lost: it is other time.
      if (!first) return;
      const untilFirst = createBudget(first.atMs - startMs);
      parts.applyMs += untilFirst.take(Math.max(first.applyMs, ownApplyMs));
      parts.otherMs += untilFirst.take(first.hashMs);
      parts.wireMs += untilFirst.rest();
      parts.waitMs += inOrder.at(-1)!.atMs - first.atMs;
    },

    close(endMs) {
      const wallMs = endMs - startMs;
      const named = Object.values({ ...parts }).reduce((a, b) => a + b, 0);
      parts.otherMs += Math.max(0, wallMs - named);
      const totals = [...workers.values()];
      const isSlower = (a: WorkerTotals, b: WorkerTotals) => a.delayMs - b.delayMs || a.arrivalMs - b.arrivalMs;
      const slowest = totals.reduce((a, b) => (isSlower(b, a) > 0 ? b : a), totals[0]!);
      return { wallMs, breakdown: parts, workers: totals, slowest };
    },
  };
}

const createTotals = (member: Member): WorkerTotals => ({
  member,
  samples: 0,
  computeMs: 0,
  communicationMs: 0,
  waitMs: 0,
  arrivalMs: 0,
  delayMs: 0,
});

/** A span of time from which parts are taken, none more than is left. */
function createBudget(spanMs: number) {
  let left = Math.max(0, spanMs);
  return {
    take(ms: number): number {
      const taken = Math.min(ms, left);
      left -= taken;
      return taken;
    },
    rest: () => left,
  };
}
