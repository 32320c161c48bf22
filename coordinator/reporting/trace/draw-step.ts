/**
 * Draws steps: the coordinator's lanes, each worker's, and the arrows: from the sending of the work to its computing, on to
 * the sending of the gradient and its reduction, and from the update to its applying. In a ring sums do not come to the
 * coordinator: arrows go on to the exchange, and from there to the applying.
 *
 * Why no arrow goes back in time, whatever a worker's clock says: a worker's moments of a step are in order, and each is moved,
 * where it must be, to between the moment at which the coordinator sent the work and that at which it had the answer. These two
 * are of one clock, and what comes before and after them too.
 */
import type { Span } from '../../../protocol/wire/moments.ts';
import type { TimedMessage } from '../../all-reduce/all-reduce.ts';
import type { TracedMoments, TracedPart, TracedProof, TracedStep } from './step-tracer.ts';
import type { Drawn, TraceEvents } from './trace-events.ts';

/** A worker's time as the coordinator's clock has it, in milliseconds. */
export type Convert = (workerMs: number) => number;

export interface StepDrawing {
  draw(moments: TracedMoments, convertOf: (workerId: string) => Convert): void;
}

/** What is known of a worker from the messages before. */
interface WorkerState {
  /** Its last moment, on the coordinator's clock; no later moment may be before it. */
  lastMs: number;
  /** The step for which it waits since then. */
  waitsFor?: string | undefined;
  /** Where its sum became the average, in a ring. */
  exchange?: Drawn | undefined;
}

export function createStepDrawing(events: TraceEvents): StepDrawing {
  const coordinator = events.processOf('coordinator');
  const workers = new Map<string, WorkerState>();
  /** The span from which the work of the step at hand went out: of its own sending, or of the update before. */
  let opening: { readonly span: Drawn; readonly beginMs: number } | undefined;
  /** The last update, and what its step is called. */
  let update: { readonly span: Drawn; readonly name: string } | undefined;
  /** When the coordinator began to wait. */
  let idleSinceMs = 0;
  /** The epoch that was proved last, and when. */
  let evaluated: readonly [epoch: number, fromMs: number] | undefined;

  const stateOf = (part: TracedPart): WorkerState => {
    const state = workers.get(part.id) ?? { lastMs: part.askedMs };
    workers.set(part.id, state);
    return state;
  };

  /** The coordinator's own lanes; returns where gradients are reduced. */
  const drawOwn = (moments: TracedStep, name: string): Drawn => {
    const { opening: sending, reducedMs, sentMs, appliedMs, isRing, parts } = moments;
    const isOpened = opening?.beginMs !== sending[0];
    if (isOpened) {
      const span = events.span(coordinator, 'sending', `${name} assign`, sending);
      opening = { span, beginMs: sending[0] };
    }
    if (evaluated) {
      const [epoch, fromMs] = evaluated;
      events.span(coordinator, 'steps', `epoch ${epoch} evaluation and records`, [fromMs, sending[0]]);
      evaluated = undefined;
    }
    const args = {
      ...{ epoch: moments.epoch, samples: moments.numSamples, workers: parts.length },
      ...(moments.numSteps > 1 && { steps: moments.numSteps }),
    };
    // As the parts of a step's time have it: from when its work, or the update before, has been sent, to the same of its update.
    events.span(coordinator, 'steps', name, [sending[isOpened ? 0 : 1], sentMs], args);
    const sums = parts.flatMap(({ messages }) => messages.filter(({ numMicrobatches }) => numMicrobatches > 0));
    const lastMs = sums.reduce((last, { atMs }) => Math.max(last, atMs), sending[1]);
    const waiting = isRing ? `${name} wait for sums` : `${name} wait for gradients`;
    events.span(coordinator, 'waiting', waiting, [Math.max(sending[1], idleSinceMs), lastMs]);
    const reducing = isRing ? `${name} wait for the exchange` : `${name} reduce`;
    const reduced = events.span(coordinator, isRing ? 'waiting' : 'reducing', reducing, [lastMs, reducedMs]);
    const sent = events.span(coordinator, 'sending', `${name} update`, [reducedMs, sentMs]);
    events.span(coordinator, 'applying', `${name} apply`, [sentMs, appliedMs]);
    update = { span: sent, name };
    idleSinceMs = appliedMs;
    return reduced;
  };

  /** What a worker did with the message before this one: waited for an update, and applied it. */
  const drawUpdate = (part: TracedPart, { moments }: TimedMessage, worker: number, clock: ReadClock): void => {
    const state = stateOf(part);
    const { waitedFromMs, at } = clock;
    const receivedMs = at(moments.receivedMs);
    if (state.waitsFor !== undefined) {
      events.span(worker, 'waiting', `${state.waitsFor} wait`, [waitedFromMs, receivedMs]);
    }
    if (moments.applied && update) {
      const span = events.span(worker, 'applying', `${update.name} apply`, convertSpan(moments.applied, at));
      const { exchange } = state;
      if (exchange) events.arrow('update', [exchange, span]);
      else events.arrow('update', [update.span, span], part.askedMs);
    }
    state.waitsFor = undefined;
    state.exchange = undefined;
  };

  /** A worker's share of a step, message by message. */
  const drawPart = (
    part: TracedPart,
    step: TracedStep,
    worker: number,
    convert: Convert,
    reduced: () => Drawn,
  ): void => {
    const name = nameOf(step);
    const state = stateOf(part);
    let computed: Drawn | undefined;
    for (const [nth, message] of part.messages.entries()) {
      const waitedFromMs = state.lastMs;
      const at = clockOf(state, [part.askedMs, message.atMs], convert);
      if (nth === 0) drawUpdate(part, message, worker, { waitedFromMs, at });
      if (!step.isTraced) return;
      const { moments, numBytes } = message;
      computed = drawComputing(events, worker, name, message, at) ?? computed;
      if (moments.encoded) events.span(worker, 'computing', `${name} encode`, convertSpan(moments.encoded, at));
      if (moments.exchanged) {
        const span = convertSpan(moments.exchanged, at);
        state.exchange = events.span(worker, 'exchanging', `${name} exchange`, span);
        if (computed) events.arrow('step', [opening!.span, computed, state.exchange], part.askedMs);
      }
      const sentMs = at(moments.sentMs);
      if (!step.isRing) {
        const sent = events.span(worker, 'sending', `${name} send`, [sentMs, message.atMs], { bytes: numBytes });
        const through = [opening!.span, ...(computed ? [computed] : []), sent, reduced()];
        events.arrow('step', through, part.askedMs);
      }
      state.waitsFor = name;
    }
  };

  const drawProof = ({ parts, span, ...proof }: TracedProof, convertOf: (workerId: string) => Convert): void => {
    const name = `step ${proof.step}`;
    events.span(coordinator, 'waiting', `${name} wait for proofs`, [Math.max(span[0], idleSinceMs), span[1]]);
    for (const part of parts) {
      const worker = processOf(events, part);
      const message = part.messages[0]!;
      const state = stateOf(part);
      const waitedFromMs = state.lastMs;
      const at = clockOf(state, [part.askedMs, message.atMs], convertOf(part.id));
      drawUpdate(part, message, worker, { waitedFromMs, at });
      const { hashed, sentMs } = message.moments;
      if (hashed) events.span(worker, 'applying', `${name} hash`, convertSpan(hashed, at));
      at(sentMs);
    }
    [opening, update, idleSinceMs, evaluated] = [undefined, undefined, span[1], [proof.epoch, span[1]]];
  };

  return {
    draw(moments, convertOf) {
      if (moments.kind === 'proof') {
        drawProof(moments, convertOf);
        return;
      }
      const before = update;
      const reduced = moments.isTraced ? drawOwn(moments, nameOf(moments)) : undefined;
      const after = update;
      // Workers tell of the update before, which this step's work came with.
      update = before;
      for (const part of moments.parts) {
        drawPart(part, moments, processOf(events, part), convertOf(part.id), () => reduced!);
      }
      update = after;
      if (after) opening = { span: after.span, beginMs: moments.reducedMs };
    },
  };
}

const nameOf = ({ step, numSteps }: TracedStep): string =>
  numSteps > 1 ? `steps ${step} to ${step + numSteps - 1}` : `step ${step}`;

const processOf = (events: TraceEvents, { id, name, engine, device }: TracedPart): number =>
  events.processOf(`worker ${name} (${id})`, `${engine}, ${device}`);

/** A worker's clock in one message, and the last moment of the message before. */
interface ReadClock {
  readonly waitedFromMs: number;
  readonly at: Convert;
}

/** Converts the moments of a message in their order: none is before the one before it, nor outside of its exchange. */
function clockOf(state: WorkerState, [leastMs, mostMs]: Span, convert: Convert): Convert {
  return (workerMs) => {
    state.lastMs = Math.max(state.lastMs, leastMs, Math.min(convert(workerMs), mostMs));
    return state.lastMs;
  };
}

const convertSpan = ([beginMs, endMs]: Span, at: Convert): [number, number] => [at(beginMs), at(endMs)];

/** The computing of one message: with several microbatches, one span around theirs. */
function drawComputing(
  events: TraceEvents,
  worker: number,
  name: string,
  { moments, numMicrobatches, numSamples, numBytes }: TimedMessage,
  at: Convert,
): Drawn | undefined {
  const spans = (moments.computed ?? []).map((span) => convertSpan(span, at));
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return undefined;
  const args = { samples: numSamples, microbatches: numMicrobatches, bytes: numBytes };
  const outer = events.span(worker, 'computing', `${name} compute`, [first[0], last[1]], args);
  if (spans.length === 1) return outer;
  for (const [nth, span] of spans.entries()) {
    const isRest = nth === spans.length - 1 && spans.length < numMicrobatches;
    events.inner(outer, isRest ? `microbatches ${nth + 1} to ${numMicrobatches}` : `microbatch ${nth + 1}`, span);
  }
  return outer;
}
