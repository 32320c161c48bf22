/** ReportedEvent: what happens to a run besides steps and epochs: workers that come and go, refusals, reissued work, checkpoints, pauses. */
import type { ProtocolErrorCode } from '../../protocol/errors.ts';

/**
 * Why microbatches were given out again: the worker that had them was lost or late, the result was not finite, or the ring
 * broke in their step.
 */
export const REISSUE_REASONS = ['lost', 'late', 'not_finite', 'ring_broken'] as const;
export type ReissueReason = (typeof REISSUE_REASONS)[number];

/** Told with the number of microbatches that are given out again. */
export type OnReissue = (reason: ReissueReason, numMicrobatches: number) => void;

/** Why the server itself ended a connection: too many are open that are no members, or a page of another site asked. */
export type ServerRefusal = 'connection_limit' | 'origin';

/** Why a connection has not become a member's. */
export type RefusalReason = ServerRefusal | ProtocolErrorCode;

/**
 * What a worker does in the run: it has a share of the steps; it receives the state; it is up to date without a share; or
 * it is ready, and waits for the run or its next epoch to begin.
 */
export const WORKER_STATES = ['working', 'catching_up', 'standing_by', 'waiting'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** Number of workers in each state. */
export type WorkerCensus = Readonly<Record<WorkerState, number>>;

export const NO_WORKERS: WorkerCensus = { working: 0, catching_up: 0, standing_by: 0, waiting: 0 };

/** A worker that is ready; see `Member`. */
export interface ReadyWorker {
  readonly id: string;
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
}

/** A worker's coming or going while the run is under way. */
export interface WorkerEvent {
  /** late: others do its work until it has caught up, which is told as joined. */
  readonly change: 'joined' | 'late' | 'lost';
  readonly id: string;
  readonly name: string;
  /** Its address, as the coordinator sees it. */
  readonly host: string;
  /** The step at hand; absent where none is. */
  readonly step?: number;
  /** Of a loss: the error's. */
  readonly code?: string;
  readonly reason?: string;
}

/** What a run does that a person may pause and stop: see `RunControl`. */
export type ControlState = 'running' | 'pausing' | 'paused' | 'stopping';

export type ReportedEvent =
  /** Workers are counted by this function from here on, whenever somebody asks. */
  | { readonly kind: 'gathering'; readonly census: () => WorkerCensus }
  /**
   * A worker is ready, and may join. `isBack`: it was before, on a connection that it has lost. `host`: its address, as the
   * coordinator sees it.
   */
  | { readonly kind: 'ready'; readonly worker: ReadyWorker; readonly isBack: boolean; readonly host: string }
  /** A worker has joined the steps, is late, or was lost. */
  | ({ readonly kind: 'worker' } & WorkerEvent)
  /** No worker is left: after step `step` the run waits so long for one to join. */
  | { readonly kind: 'alone'; readonly step: number; readonly waitSeconds: number }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  | { readonly kind: 'reissued'; readonly reason: ReissueReason; readonly numMicrobatches: number }
  /** A checkpoint with the state after this step is on the disk. */
  | { readonly kind: 'saved'; readonly step: number }
  /** A person has paused the run, had it go on, or had it end after its epoch. */
  | { readonly kind: 'control'; readonly state: ControlState };
