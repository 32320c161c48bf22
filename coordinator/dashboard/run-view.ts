/**
 * RunView: all that pages and reports show of a run. Plain data, so that it travels as JSON: from a coordinator to a browser,
 * from a run's folder to a page, and into the file of a report.
 *
 * A view consists of parts. Small parts are replaced whole when they change; lists only grow at their end, or are replaced
 * whole. An update of a view, see `ViewUpdate`, says which.
 */
import type { PartsInMs, PartsInSeconds } from '../reporting/flat-parts.ts';
import type { EpochRecord, Progress, RunResult } from '../reporting/reporter.ts';
import type { RunConfig } from '../run-config.ts';

export interface RunView {
  readonly head: RunHead;
  readonly now: RunNow;
  readonly workers: readonly WorkerView[];
  readonly epochs: readonly EpochView[];
  /** Of the steps, thinned: at most `MOST_POINTS`. */
  readonly series: readonly StepPoint[];
  /** Of the last `MOST_EVENTS` events, the oldest first. */
  readonly events: readonly EventView[];
}

/** What a run is. */
export interface RunHead {
  /** The name of its folder, or of its model where it leaves nothing behind. */
  readonly name: string;
  /** Absent until the run begins. */
  readonly config?: RunConfig;
  /** Steps of a whole epoch; absent until the first step. */
  readonly stepsPerEpoch?: number;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** Whether the test samples are evaluated, or those that are held back. */
  readonly evaluates: 'test' | 'validation';
  /** In ISO 8601. */
  readonly startedAt?: string;
  /** The command that starts it again, and what it runs on; absent where they are not recorded. */
  readonly command?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Curves of another run of the same model, to compare with. */
  readonly reference?: ReferenceCurves;
}

export interface ReferenceCurves {
  /** "homework report, MXNet on a GPU". */
  readonly name: string;
  readonly loss: readonly number[];
  readonly trainAccuracy: readonly number[];
  readonly testAccuracy: readonly number[];
}

/** `stopped`: nothing tells how it ended; its process was killed, or lost. */
export type RunState =
  'preparing' | 'running' | 'pausing' | 'paused' | 'stopping' | 'completed' | 'failed' | 'interrupted' | 'stopped';

/** Where a run stands. */
export interface RunNow {
  readonly state: RunState;
  /** What it does besides steps: "waiting for workers: 1 of 2 are ready". */
  readonly doing?: string;
  readonly progress?: ProgressView;
  /** What its time is spent on, in words; see `verdict.ts`. */
  readonly verdict?: string;
  /** Since the beginning, over all processes that it was resumed in. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Epochs that have a confusion matrix. */
  readonly confusions: readonly number[];
  /** Once it has ended. */
  readonly result?: RunResult;
}

/** `step`: in the run, from 1. */
export type ProgressView = Omit<Progress, 'soFar'> & { readonly step: number };

export interface WorkerView {
  readonly id: string;
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  readonly threads?: number;
  /** Address, as the coordinator sees it. */
  readonly host?: string;
  readonly state: 'waiting' | 'working' | 'late' | 'lost';
  /** Its part of the last steps' samples, 0 to 1. */
  readonly share: number;
  /** Mean of its last steps: computing, and the time for which all others waited for it alone. */
  readonly computeMs: number;
  readonly delayMs: number;
  /** Since the run began. */
  readonly numSamples: number;
  readonly numReconnects: number;
}

/** An epoch's record, without what only a table of workers needs. */
export type EpochView = PartsInSeconds &
  Pick<
    EpochRecord,
    | 'epoch'
    | 'endedAt'
    | 'learningRate'
    | 'loss'
    | 'trainAccuracy'
    | 'seconds'
    | 'evaluationSeconds'
    | 'samples'
    | 'samplesPerSecond'
    | 'steps'
    | 'stepsBeforeResume'
    | 'bytesSent'
    | 'bytesReceived'
    | 'slowestWorker'
    | 'slowestDelaySeconds'
    | 'numWorkers'
  > & {
    /** Of what the run evaluates, see `RunHead.evaluates`; null where it evaluates nothing. */
    readonly evaluationLoss: number | null;
    readonly evaluationAccuracy: number | null;
  };

/** Means over `numSteps` steps that follow each other, the last of which is `step`; `numSteps` doubles as a run goes on. */
export interface StepPoint extends PartsInMs {
  readonly step: number;
  readonly numSteps: number;
  /** Epochs that are done after `step`: 1.5 is in the middle of the second. */
  readonly epochs: number;
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly learningRate: number;
  readonly stepMs: number;
  readonly samplesPerSecond: number;
  /** Of a step. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export interface EventView {
  /** In ISO 8601. */
  readonly at: string;
  /** `good`: something came back or was made; `bad`: something was lost. */
  readonly tone: 'neutral' | 'good' | 'bad';
  readonly text: string;
}

/** The most points that a page is sent of a run's steps, and the most events. */
export const MOST_POINTS = 600;
export const MOST_EVENTS = 200;

/** What has changed of a view. A list's `from` is the index of its first item here: what was there from it on is replaced. */
export interface ViewUpdate {
  readonly head?: RunHead;
  readonly now?: RunNow;
  readonly workers?: readonly WorkerView[];
  readonly epochs?: ListTail<EpochView>;
  readonly series?: ListTail<StepPoint>;
  readonly events?: ListTail<EventView>;
}

export interface ListTail<T> {
  readonly from: number;
  readonly items: readonly T[];
}

/** The view after the update; unchanged parts are the same objects. */
export function applyUpdate(view: RunView, update: ViewUpdate): RunView {
  return {
    head: update.head ?? view.head,
    now: update.now ?? view.now,
    workers: update.workers ?? view.workers,
    epochs: withTail(view.epochs, update.epochs),
    series: withTail(view.series, update.series),
    events: withTail(view.events, update.events),
  };
}

function withTail<T>(list: readonly T[], tail: ListTail<T> | undefined): readonly T[] {
  return tail ? [...list.slice(0, tail.from), ...tail.items] : list;
}
