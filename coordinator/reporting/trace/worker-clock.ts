/**
 * A worker's clock through a run: it is read with each message, and converted window by window, each by a line of its own, see
 * `clock-fit.ts`. Where no line fits a window, as after a machine has slept, the window is cut in halves.
 */
import { fitClock, toCoordinatorMs } from './clock-fit.ts';
import type { ClockBounds, ClockLine, Reading } from './clock-fit.ts';

/** For `otherData` of a trace. */
export interface ClockSummary {
  /** What is added to the worker's clock at the beginning of its last window, and how this changes. */
  readonly offsetMs: number;
  readonly driftPpm: number;
  readonly driftPlusMinusPpm: number;
  /** The largest of all windows. */
  readonly plusMinusMs: number;
  /** Answers: each with what it answers is an exchange. */
  readonly numExchanges: number;
  /** Whether its rate was constant in each window; if not, its times there are good for their order alone. */
  readonly isSteady: boolean;
}

export interface WorkerClock {
  /** A message that was sent here at `coordinatorMs` was received there at `workerMs`. */
  received(reading: Reading): void;
  /** A message that was sent there was received here. */
  sent(reading: Reading): void;
  /** Ends a window; returns the conversion of its times to the coordinator's clock. */
  settle(): (workerMs: number) => number;
  readonly summary: ClockSummary;
}

/** Readings of windows before that take part in the next one's line: so short windows follow a long one smoothly. */
const MOST_KEPT = 400;

/** A part of a window with its line. */
interface Segment {
  readonly fromMs: number;
  readonly line: ClockLine;
  readonly isSteady: boolean;
}

type Bound = Reading & { readonly isSent: boolean };

/** `isOwn`: the worker is in this process, and both have one clock. */
export function createWorkerClock(isOwn: boolean): WorkerClock {
  let kept: readonly Bound[] = [];
  let bounds: Bound[] = [];
  let numExchanges = 0;
  let last = NO_LINE;
  let plusMinusMs = 0;
  let isSteady = true;

  const settle = () => {
    if (isOwn || bounds.length === 0) return (workerMs: number) => toCoordinatorMs(last, workerMs);
    const line = fitClock(byKind([...kept, ...bounds]));
    const segments = line ? [{ fromMs: line.fromMs, line, isSteady: true }] : segmentsOf(bounds);
    // What is not on one line with the newest says nothing of what comes.
    kept = [...(line ? kept : []), ...bounds].slice(-MOST_KEPT);
    bounds = [];
    last = segments.at(-1)!.line;
    plusMinusMs = Math.max(plusMinusMs, ...segments.map((segment) => segment.line.plusMinusMs));
    isSteady &&= segments.every((segment) => segment.isSteady);
    return (workerMs: number) => {
      const segment = segments.findLast(({ fromMs }) => workerMs >= fromMs) ?? segments[0]!;
      return toCoordinatorMs(segment.line, workerMs);
    };
  };

  return {
    received: (reading) => void bounds.push({ ...reading, isSent: false }),
    sent(reading) {
      numExchanges++;
      bounds.push({ ...reading, isSent: true });
    },
    settle,
    get summary() {
      const { offsetMs, drift, driftPlusMinus } = last;
      const drifts = { driftPpm: 1e6 * drift, driftPlusMinusPpm: 1e6 * driftPlusMinus };
      return { offsetMs, ...drifts, plusMinusMs, numExchanges, isSteady };
    },
  };
}

const NO_LINE: ClockLine = { fromMs: 0, offsetMs: 0, drift: 0, plusMinusMs: 0, driftPlusMinus: 0 };

/** Fewer hold no exchange whole. */
const FEWEST_BOUNDS = 4;

/** Lines of parts, each as long as one line fits it; of a part too short for that the middle of its bounds, which contradict each other. */
function segmentsOf(bounds: readonly Bound[]): readonly Segment[] {
  const { workerMs: fromMs } = bounds[0]!;
  const line = fitClock(byKind(bounds));
  if (line) return [{ fromMs, line, isSteady: true }];
  if (bounds.length < 2 * FEWEST_BOUNDS) return [{ fromMs, line: middleOf(bounds), isSteady: false }];
  const middle = Math.ceil(bounds.length / 2);
  return [...segmentsOf(bounds.slice(0, middle)), ...segmentsOf(bounds.slice(middle))];
}

function middleOf(bounds: readonly Bound[]): ClockLine {
  const offsets = bounds.map(({ workerMs, coordinatorMs }) => coordinatorMs - workerMs);
  const [least, most] = [Math.min(...offsets), Math.max(...offsets)];
  return {
    ...NO_LINE,
    fromMs: bounds[0]!.workerMs,
    offsetMs: (least + most) / 2,
    plusMinusMs: (most - least) / 2,
  };
}

const byKind = (bounds: readonly Bound[]): ClockBounds => ({
  received: bounds.filter(({ isSent }) => !isSent),
  sent: bounds.filter(({ isSent }) => isSent),
});
