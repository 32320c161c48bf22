/**
 * Step trace: a worker's moments in the steps of a run that is traced, see `protocol/wire/moments.ts`. In any other run there
 * is none, and the worker looks at no clock for it.
 */
import { isTraced, MOST_COMPUTED_SPANS } from '../../protocol/wire/moments.ts';
import type { Moments, Span, TracedSteps } from '../../protocol/wire/moments.ts';

/** What a span of time is spent on. */
export type Activity = 'computed' | 'encoded' | 'exchanged' | 'applied' | 'hashed';

export interface StepTrace {
  /** A message was received just now. */
  received(): void;
  /** The average of the step at hand was applied: told with the next message. */
  applied(beginMs: number, endMs: number): void;
  /** Work of a step begins. Undefined where neither that step is traced nor the one before, whose end is told with it. */
  open(step: number): StepMoments | undefined;
  /** The proof of the state after the step at hand is asked for. Undefined where that step is not traced. */
  prove(): StepMoments | undefined;
}

/** Collects the moments of one message after the other. Spans neither nest nor overlap. */
export interface StepMoments {
  /** Something begins just now. */
  begin(): void;
  /** It ends just now. */
  end(activity: Activity): void;
  /** The moments since the last call, of a message that is sent just now. */
  take(): Moments;
}

export function createStepTrace(steps: TracedSteps): StepTrace {
  let receivedMs = 0;
  let applied: Span | undefined;
  /** The last step that was opened and is traced. */
  let last: number | undefined;

  /** The moments of a message; what was applied before is told now, or never. */
  const collect = (isTold: boolean): StepMoments | undefined => {
    const moments = isTold ? createStepMoments(receivedMs, applied) : undefined;
    applied = undefined;
    return moments;
  };

  return {
    received() {
      receivedMs = performance.now();
    },
    applied(beginMs, endMs) {
      applied = [beginMs, endMs];
    },
    open(step) {
      const endsTraced = last !== undefined && last !== step;
      last = isTraced(steps, step) ? step : undefined;
      return collect(last !== undefined || endsTraced);
    },
    prove() {
      const endsTraced = last !== undefined;
      last = undefined;
      return collect(endsTraced);
    },
  };
}

function createStepMoments(receivedMs: number, appliedBefore: Span | undefined): StepMoments {
  let beginMs = receivedMs;
  let computed: [number, number][] = [];
  let others: Partial<Record<Exclude<Activity, 'computed'>, [number, number]>> =
    appliedBefore === undefined ? {} : { applied: [...appliedBefore] };
  return {
    begin() {
      beginMs = performance.now();
    },
    end(activity) {
      const endMs = performance.now();
      if (activity !== 'computed') others[activity] = [beginMs, endMs];
      else if (computed.length < MOST_COMPUTED_SPANS) computed.push([beginMs, endMs]);
      else computed.at(-1)![1] = endMs;
    },
    take() {
      const moments = { receivedMs, ...(computed.length > 0 && { computed }), ...others, sentMs: performance.now() };
      computed = [];
      others = {};
      return moments;
    },
  };
}
