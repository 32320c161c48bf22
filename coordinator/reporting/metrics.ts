/**
 * Metrics: an epoch's sums. The parts of its steps' wall time, see `step-parts.ts`, and each worker's own figures.
 */
import type { Confirmation } from '../members/state-proof.ts';
import type { Member } from '../members/member.ts';
import { delayOfLast } from './contributions.ts';
import { NO_PARTS, partsOfConfirmation, partsOfStep, plusParts, withOther } from './step-parts.ts';
import type { StepMoments, StepParts } from './step-parts.ts';

export interface WorkerTotals {
  /** The worker on its last connection: one that comes back goes on with its totals. */
  member: Member;
  samples: number;
  /** Steps, with local steps rounds, in which it took part. */
  steps: number;
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

export interface EpochMetrics {
  recordStep(moments: StepMoments): void;
  /** The end of an epoch: from the last update to the last proof. */
  recordConfirmation(startMs: number, confirmations: readonly Confirmation[], ownApplyMs: number): void;
  /** The parts of the time up to `atMs` since the last call, or since the epoch's start. */
  settle(atMs: number): { wallMs: number; parts: StepParts };
  /** The epoch stood still for this long, since the last time that was settled: its time is not the epoch's. */
  skip(milliseconds: number): void;
  /** All up to `atMs`, while the epoch goes on. */
  sumUp(atMs: number): EpochTotals;
  /** Closes the epoch at `endMs` on the same clock. */
  close(endMs: number): EpochTotals;
}

export interface EpochTotals {
  readonly wallMs: number;
  readonly breakdown: StepParts;
  readonly workers: readonly WorkerTotals[];
  readonly slowest: WorkerTotals;
}

/** `members`: those at the start; others are added when they arrive. */
export function openEpochMetrics(startMs: number, members: readonly Member[]): EpochMetrics {
  /** Later by the time that the epoch stood still. */
  let epochStartMs = startMs;
  let settled = NO_PARTS;
  let settledMs = startMs;
  /** Named parts of the time since then. */
  let parts = NO_PARTS;
  /** By the worker's id. */
  const workers = new Map<string, WorkerTotals>();
  const totalsOf = (member: Member): WorkerTotals => {
    const totals = workers.get(member.id) ?? createTotals(member);
    workers.set(member.id, totals);
    totals.member = member;
    return totals;
  };
  for (const member of members) totalsOf(member);

  const settle = (atMs: number) => {
    const wallMs = atMs - settledMs;
    const span = { wallMs, parts: withOther(parts, wallMs) };
    settled = plusParts(settled, span.parts);
    [parts, settledMs] = [NO_PARTS, atMs];
    return span;
  };

  const totalsOfEpoch = (atMs: number, breakdown: StepParts): EpochTotals => {
    const totals = [...workers.values()];
    const isSlower = (a: WorkerTotals, b: WorkerTotals) => a.delayMs - b.delayMs || a.arrivalMs - b.arrivalMs;
    const slowest = totals.reduce((a, b) => (isSlower(b, a) > 0 ? b : a), totals[0]!);
    return { wallMs: atMs - epochStartMs, breakdown, workers: totals, slowest };
  };

  return {
    recordStep(moments) {
      parts = plusParts(parts, partsOfStep(moments));
      const { startMs, arrivals, reducedMs, peerExchange } = moments;
      const lastMs = arrivals.at(-1)!.atMs;
      const exchangeMs = peerExchange ? reducedMs - lastMs : 0;
      for (const arrival of arrivals) {
        const totals = totalsOf(arrival.member);
        const sinceStartMs = arrival.atMs - startMs;
        totals.samples += arrival.numSamples;
        totals.steps++;
        totals.computeMs += arrival.computeMs;
        totals.communicationMs += Math.max(0, sinceStartMs - arrival.computeMs - arrival.applyMs) + exchangeMs;
        totals.waitMs += lastMs - arrival.atMs;
        totals.arrivalMs += sinceStartMs;
      }
      totalsOf(arrivals.at(-1)!.member).delayMs += delayOfLast(arrivals);
    },

    recordConfirmation(startMs, confirmations, ownApplyMs) {
      parts = plusParts(parts, partsOfConfirmation(startMs, confirmations, ownApplyMs));
    },

    settle,

    skip(milliseconds) {
      epochStartMs += milliseconds;
      settledMs += milliseconds;
    },

    sumUp(atMs) {
      return totalsOfEpoch(atMs, plusParts(settled, withOther(parts, atMs - settledMs)));
    },

    close(endMs) {
      settle(endMs);
      return totalsOfEpoch(endMs, settled);
    },
  };
}

const createTotals = (member: Member): WorkerTotals => ({
  member,
  samples: 0,
  steps: 0,
  computeMs: 0,
  communicationMs: 0,
  waitMs: 0,
  arrivalMs: 0,
  delayMs: 0,
});
