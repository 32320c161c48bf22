/**
 * Step tracer: gathers the moments of each step that is traced: the coordinator's, and what workers tell of theirs. The epoch's
 * recorder and the all-reduce call it as they go; the end of a step is told to the reporters.
 */
import type { Span, TracedSteps } from '../../../protocol/wire/moments.ts';
import { isTraced } from '../../../protocol/wire/moments.ts';
import type { OnAsk, ReducedStep, TimedMessage } from '../../all-reduce/all-reduce.ts';
import type { Member } from '../../members/member.ts';
import type { Confirmation } from '../../members/state-proof.ts';
import type { StepPlan } from '../../step/step-plan.ts';

/** How many steps are traced where no range is asked for. */
export const DEFAULT_TRACED_STEPS = 200;

/** A worker's part of a step or of a proof. */
export interface TracedPart {
  readonly id: string;
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  /** Whether it is in the coordinator's process: both then have one clock. */
  readonly isHere: boolean;
  /** When it was sent what it answers, or a moment before. */
  readonly askedMs: number;
  readonly messages: readonly TimedMessage[];
}

/** All times are `performance.now()` of the coordinator, those in `moments` apart. */
export interface TracedStep {
  readonly kind: 'step';
  readonly step: number;
  /** With local steps: those of the round. */
  readonly numSteps: number;
  readonly epoch: number;
  readonly numSamples: number;
  /** Whether the step itself is traced; else it is told for the end of the one before. */
  readonly isTraced: boolean;
  /** Whether the workers averaged among themselves. */
  readonly isRing: boolean;
  /** Sending the step's work; that of an epoch's later steps goes with the update before. */
  readonly opening: Span;
  readonly reducedMs: number;
  /** When the update had been sent to all. */
  readonly sentMs: number;
  /** When the coordinator's own replica had it, too. */
  readonly appliedMs: number;
  readonly parts: readonly TracedPart[];
}

/** After an epoch's last step: the proof that all replicas are equal. */
export interface TracedProof {
  readonly kind: 'proof';
  readonly step: number;
  readonly epoch: number;
  /** From the last update on. */
  readonly span: Span;
  readonly parts: readonly TracedPart[];
}

export type TracedMoments = TracedStep | TracedProof;

export interface StepTracer {
  readonly steps: TracedSteps;
  readonly asked: OnAsk;
  /** The calls of an epoch's recorder, with the time of each. */
  opened(opening: Span): void;
  reduced(plan: StepPlan, reduced: ReducedStep, atMs: number): void;
  distributed(atMs: number): void;
  applied(atMs: number): void;
  confirmed(confirmations: readonly Confirmation[], atMs: number): void;
}

/** The step at hand. */
interface OpenStep {
  readonly plan: StepPlan;
  readonly reduced: ReducedStep;
  readonly reducedMs: number;
}

export function createStepTracer(steps: TracedSteps, tell: (moments: TracedMoments) => void): StepTracer {
  /** When members were first asked for a part of a step: of the one at hand, and the one after it. */
  const asked = new Map<number, Map<Member, number>>();
  let opening: Span = [0, 0];
  let open: OpenStep | undefined;
  let sentMs = 0;
  /** Whether the step before is traced. */
  let endsTraced = false;

  const partOf = (member: Member, askedMs: number, messages: readonly TimedMessage[]): TracedPart => {
    const { id, name, engine, device, transport } = member;
    return { id, name, engine, device, isHere: transport.bytesSent === 0, askedMs, messages };
  };

  const tellStep = ({ plan, reduced, reducedMs }: OpenStep, appliedMs: number) => {
    const { step, numSteps, epoch, numSamples } = plan;
    const isOwn = isTraced(steps, step);
    if (isOwn || endsTraced) {
      const askedOf = asked.get(step);
      const parts = reduced.arrivals.flatMap(({ member, timed }) =>
        timed ? [partOf(member, Math.max(opening[0], askedOf?.get(member) ?? 0), timed)] : [],
      );
      const moments = { opening, reducedMs, sentMs, appliedMs, parts };
      const isRing = reduced.peerExchange !== undefined;
      tell({ kind: 'step', step, numSteps, epoch, numSamples, isTraced: isOwn, isRing, ...moments });
    }
    asked.delete(step);
    endsTraced = isOwn;
  };

  return {
    steps,
    asked(member, step) {
      // The step after the last that is traced has the end of that one.
      const isAfterTraced = open !== undefined && isTraced(steps, open.plan.step);
      if (!isTraced(steps, step) && !isAfterTraced) return;
      const askedOf = asked.get(step) ?? new Map<Member, number>();
      asked.set(step, askedOf);
      if (!askedOf.has(member)) askedOf.set(member, performance.now());
    },
    opened(span) {
      opening = span;
    },
    reduced(plan, reduced, atMs) {
      open = { plan, reduced, reducedMs: atMs };
    },
    distributed(atMs) {
      sentMs = atMs;
    },
    applied(atMs) {
      if (!open) return;
      tellStep(open, atMs);
      opening = [open.reducedMs, sentMs];
    },
    confirmed(confirmations, atMs) {
      if (!open || !endsTraced) return;
      const { plan, reducedMs } = open;
      const parts = confirmations.flatMap(({ member, atMs: hereMs, moments }) => {
        const counts = { numMicrobatches: 0, numSamples: 0, numBytes: 0 };
        return moments ? [partOf(member, reducedMs, [{ atMs: hereMs, moments, ...counts }])] : [];
      });
      endsTraced = false;
      tell({ kind: 'proof', step: plan.step, epoch: plan.epoch, span: [sentMs, atMs], parts });
    },
  };
}
