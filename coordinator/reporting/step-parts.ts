/**
 * StepParts: where the wall time of a step went. Every millisecond belongs to one named part.
 *
 * A step lasts from the sending of its assignment to the sending of its update. Until the first worker's gradients are
 * there, the time is that worker's compute, the applying of the previous update, and packing; the remainder is
 * wire. From the first to the last arrival it is wait, then reduce, then the packing and sending of the update (encode).
 * Where workers exchange their sums among themselves, the time after the last arrival is their packing and adding, and
 * wire for the rest.
 * What is left between steps is other. Durations come from one machine's clock each; clocks are never compared.
 */
import type { Arrival, PeerExchange } from '../all-reduce/all-reduce.ts';
import type { Confirmation } from '../members/state-proof.ts';

/** Milliseconds by part; the parts add up to the wall time. */
export interface StepParts {
  readonly computeMs: number;
  readonly encodeMs: number;
  readonly wireMs: number;
  readonly waitMs: number;
  readonly reduceMs: number;
  readonly applyMs: number;
  readonly otherMs: number;
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

export const NO_PARTS: StepParts = {
  computeMs: 0,
  encodeMs: 0,
  wireMs: 0,
  waitMs: 0,
  reduceMs: 0,
  applyMs: 0,
  otherMs: 0,
};

/** From `startMs` to `sentMs`, without any other. */
export function partsOfStep({
  startMs,
  arrivals,
  reducedMs,
  sentMs,
  ownApplyMs,
  peerExchange,
}: StepMoments): StepParts {
  const first = arrivals[0]!;
  // An arrival may be older than the step: what lies before the start belongs to the step before.
  const firstMs = Math.max(startMs, first.atMs);
  const lastMs = Math.max(startMs, arrivals.at(-1)!.atMs);
  // A worker may have begun before the sending to all was over: its own durations then exceed the time seen here.
  const untilFirst = createBudget(firstMs - startMs);
  const computeMs = untilFirst.take(first.computeMs);
  const applyMs = untilFirst.take(Math.max(first.applyMs, ownApplyMs));
  const packingMs = untilFirst.take(first.encodeMs);
  const untilReduced = createBudget(reducedMs - lastMs);
  const exchangeEncodeMs = peerExchange ? untilReduced.take(peerExchange.encodeMs) : 0;
  const reduceMs = peerExchange ? untilReduced.take(peerExchange.reduceMs) : untilReduced.rest();
  return {
    computeMs,
    encodeMs: packingMs + exchangeEncodeMs + (sentMs - reducedMs),
    wireMs: untilFirst.rest() + (peerExchange ? untilReduced.rest() : 0),
    waitMs: lastMs - firstMs,
    reduceMs,
    applyMs,
    otherMs: 0,
  };
}

/** From the last update, at `startMs`, to the last worker's proof; none where all workers were lost. */
export function partsOfConfirmation(
  startMs: number,
  confirmations: readonly Confirmation[],
  ownApplyMs: number,
): StepParts {
  const inOrder = [...confirmations].sort((a, b) => a.atMs - b.atMs);
  const [first] = inOrder;
  if (!first) return NO_PARTS;
  const firstMs = Math.max(startMs, first.atMs);
  const untilFirst = createBudget(firstMs - startMs);
  return {
    ...NO_PARTS,
    applyMs: untilFirst.take(Math.max(first.applyMs, ownApplyMs)),
    otherMs: untilFirst.take(first.hashMs),
    wireMs: untilFirst.rest(),
    waitMs: Math.max(0, inOrder.at(-1)!.atMs - firstMs),
  };
}

export const plusParts = (a: StepParts, b: StepParts): StepParts => ({
  computeMs: a.computeMs + b.computeMs,
  encodeMs: a.encodeMs + b.encodeMs,
  wireMs: a.wireMs + b.wireMs,
  waitMs: a.waitMs + b.waitMs,
  reduceMs: a.reduceMs + b.reduceMs,
  applyMs: a.applyMs + b.applyMs,
  otherMs: a.otherMs + b.otherMs,
});

/** The parts with all of `wallMs`: what no part explains is other. */
export function withOther(parts: StepParts, wallMs: number): StepParts {
  const namedMs = Object.values({ ...parts }).reduce((sum, ms) => sum + ms, 0);
  return { ...parts, otherMs: parts.otherMs + Math.max(0, wallMs - namedMs) };
}

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
