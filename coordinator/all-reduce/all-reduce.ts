/**
 * AllReduce: how a step's gradients become the average that every replica applies.
 *
 * The training loop calls, for each epoch: open, then for each step collect, distribute and apply, at the end confirm.
 * What every all-reduce must do is checked by `test/contracts/all-reduce.contract.ts`.
 */
import type { Moments } from '../../protocol/wire/moments.ts';
import type { Sums } from '../../protocol/wire/messages.ts';
import type { Member } from '../members/member.ts';
import type { Confirmation } from '../members/state-proof.ts';
import type { StepPlan } from '../step/step-plan.ts';

/** One member's part of a step, on the coordinator's clock and, for durations, on its own. */
export interface Arrival {
  readonly member: Member;
  /** When the last of its answer had arrived: `performance.now()` here. */
  readonly atMs: number;
  readonly numSamples: number;
  readonly computeMs: number;
  readonly encodeMs: number;
  readonly applyMs: number;
  /** In a run that is traced: its messages, in order of arrival. */
  readonly timed?: readonly TimedMessage[];
}

/** A message with the moments that the worker tells, by the worker's clock. */
export interface TimedMessage {
  /** When it was here: `performance.now()` here. */
  readonly atMs: number;
  readonly moments: Moments;
  /** What it is the answer of, and its payload. */
  readonly numMicrobatches: number;
  readonly numSamples: number;
  readonly numBytes: number;
}

/** Called when the coordinator sends a member its assignment for a step, or a further part of the assignment. */
export type OnAsk = (member: Member, step: number) => void;

export interface ReducedStep {
  readonly totals: Sums;
  /** Whether every entry of the average is a number. */
  readonly isFinite: boolean;
  /** Which numbers are not, where that was found out: "the loss", "the gradient of conv1.weight". */
  readonly notFinite?: string;
  /** In order of arrival; members that had a part in the step. */
  readonly arrivals: readonly Arrival[];
  /** What the workers did among themselves between the last arrival and the end of the step; absent in a star. */
  readonly peerExchange?: PeerExchange;
}

/** Milliseconds of the worker that was done last; bytes of all workers together, each counted at both of its ends. */
export interface PeerExchange {
  readonly encodeMs: number;
  readonly reduceMs: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export interface AllReduce {
  /** Whether an average has the same bits no matter which member computes which microbatches. */
  readonly isExact: boolean;
  /** Opens the first step of an epoch: tells every member its assignment. */
  open(plan: StepPlan): void;
  /**
   * Waits for the step's gradients and averages them. A member that fails is lost, see `Fleet`: a wrong answer, none
   * within the deadline, or a connection that broke. Rejects with its `ProtocolError` when no other takes its place.
   */
  collect(plan: StepPlan): Promise<ReducedStep>;
  /** Lets every member apply the step's average, and opens the next step. */
  distribute(plan: StepPlan, next?: StepPlan): void;
  /** Applies the step's average to the coordinator's replica, in the meantime; or leaves that to `confirm`. */
  apply(plan: StepPlan): void;
  /**
   * After an update without a next step: waits for every member's proof that its parameters equal the replica's, which
   * stands at that step from then on.
   * Rejects with ERR_STATE_MISMATCH, naming the member, when they do not.
   */
  confirm(): Promise<Confirmation[]>;
}
