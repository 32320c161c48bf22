/** Follows one epoch of the loop: takes the moments, keeps the sums, and makes the epoch's record. */
import type { ReducedStep } from '../all-reduce/all-reduce.ts';
import type { Confirmation } from '../members/state-proof.ts';
import type { EpochSums } from '../run-directory/checkpoint.ts';
import type { EvaluationFigures } from '../evaluation.ts';
import type { Member } from '../members/member.ts';
import type { StepPlan } from '../step/step-plan.ts';
import { contributionsOf } from './contributions.ts';
import { deprecatedEpochFields, deprecatedWorkerFields } from './deprecated-fields.ts';
import { partsInSeconds } from './flat-parts.ts';
import { openEpochMetrics } from './metrics.ts';
import type { EpochRecord, EpochSoFar, Progress, Reporter } from './reporter.ts';
import { stepRecordOf } from './step-record.ts';
import type { StepTracer } from './trace/step-tracer.ts';
import { Traffic } from './traffic.ts';

/**
 * Calls come in the order of the loop: opened, then for each step reduced, distributed, applied; confirmed, close. An epoch
 * that pauses is confirmed after the step at hand, then paused and resumed; with opened it goes on.
 */
export interface EpochRecorder {
  opened(): void;
  reduced(step: ReducedStep, plan: StepPlan): void;
  /** `isLast`: of the epoch, or before a pause. The step lasts until it is confirmed. */
  distributed(isLast: boolean): void;
  applied(): void;
  progress(): Progress;
  /** Of the steps so far, with those that were carried over. */
  readonly sums: () => EpochSums;
  /** Whether any step was taken since the recorder was made. */
  readonly hasSteps: boolean;
  confirmed(confirmations: readonly Confirmation[]): void;
  /** What is at hand was abandoned: the record ends with the last step that was distributed. */
  left(): void;
  /** The time from here until `resumed` is not the epoch's. */
  paused(): void;
  resumed(): void;
  /** `learningRate`: of the epoch's last step. */
  close(evaluated: EvaluationFigures, learningRate: number): EpochRecord;
}

/** Of an epoch that this process has gone through; zeros where there is none. */
export interface Pace {
  readonly seconds: number;
  readonly steps: number;
  readonly evaluationSeconds: number;
}

interface EpochPlace {
  readonly epoch: number;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  readonly members: readonly Member[];
  /** See `EpochRecord`. */
  readonly wireRatio: number;
  /** Whether held-back samples are evaluated, and no test samples. */
  readonly isValidated: boolean;
  /** The last step of the run, and what the epochs before this one tell of how long steps and evaluations take. */
  readonly lastStep: number;
  readonly pace: Pace;
  /** Of the epoch's steps before the run was resumed in the middle of it. */
  readonly carried?: EpochSums | undefined;
  /** Told of every step, when it is distributed, and of the epoch's last when it is confirmed. Absent: none is recorded. */
  readonly onStepRecord?: Reporter['onStep'];
  /** Told the moments of the loop. Absent: nothing is traced. */
  readonly tracer?: StepTracer | undefined;
}

export function createEpochRecorder(place: EpochPlace): EpochRecorder {
  return new RunEpochRecorder(place);
}

class RunEpochRecorder implements EpochRecorder {
  readonly #place: EpochPlace;
  readonly #carried: EpochSums;
  readonly #totals: { -readonly [K in keyof EpochSums]: EpochSums[K] };
  /** Later by the time that the epoch stood still. */
  #startMs = performance.now();
  readonly #traffic: Traffic;
  readonly #metrics: ReturnType<typeof openEpochMetrics>;
  #last: { readonly step: ReducedStep; readonly plan: StepPlan; readonly reducedMs: number } | undefined;
  #stepStartMs = this.#startMs;
  #ownApplyMs = 0;
  #endMs = this.#startMs;
  #pausedMs: number | undefined;

  constructor(place: EpochPlace) {
    this.#place = place;
    this.#carried = place.carried ?? { lossSum: 0, numCorrect: 0, numSamples: 0, steps: 0 };
    this.#totals = { ...this.#carried };
    this.#traffic = new Traffic(place.members);
    this.#metrics = openEpochMetrics(this.#startMs, place.members);
  }

  opened(): void {
    this.#stepStartMs = performance.now();
    this.#place.tracer?.opened([this.#startMs, this.#stepStartMs]);
  }

  reduced(step: ReducedStep, plan: StepPlan): void {
    const reducedMs = performance.now();
    this.#last = { step, plan, reducedMs };
    this.#place.tracer?.reduced(plan, step, reducedMs);
    this.#totals.lossSum += step.totals.lossSum;
    this.#totals.numCorrect += step.totals.numCorrect;
    this.#totals.numSamples += step.totals.numSamples;
    this.#totals.steps += plan.numSteps;
    for (const { member } of step.arrivals) this.#traffic.tookPart(member);
    if (step.peerExchange) this.#traffic.exchanged(step.peerExchange);
  }

  distributed(isLast: boolean): void {
    const sentMs = performance.now();
    this.#place.tracer?.distributed(sentMs);
    const { step, reducedMs } = this.#last!;
    const { arrivals, peerExchange } = step;
    const moments = { startMs: this.#stepStartMs, reducedMs, sentMs, ownApplyMs: this.#ownApplyMs };
    this.#metrics.recordStep({ ...moments, arrivals, peerExchange });
    this.#stepStartMs = sentMs;
    if (!isLast) this.#settleStep(sentMs);
  }

  applied(): void {
    const appliedMs = performance.now();
    this.#ownApplyMs = appliedMs - this.#stepStartMs;
    this.#place.tracer?.applied(appliedMs);
  }

  progress(): Progress {
    const { epoch, epochs, stepsPerEpoch, lastStep, pace } = this.#place;
    const { steps } = this.#totals;
    const secondsSoFar = (this.#nowMs() - this.#startMs) / 1000;
    const stepsLeft = lastStep - (epoch - 1) * stepsPerEpoch - steps;
    const secondsOfStep = (pace.seconds + secondsSoFar) / (pace.steps + this.#since().steps);
    const evaluationsLeft = Math.ceil(lastStep / stepsPerEpoch) - epoch + 1;
    return {
      epoch,
      epochs,
      stepInEpoch: steps,
      stepsPerEpoch,
      ...this.#figures(),
      samplesPerSecond: this.#since().samples / secondsSoFar,
      runSecondsLeft: stepsLeft * secondsOfStep + evaluationsLeft * pace.evaluationSeconds,
      soFar: () => this.#soFar(),
    };
  }

  get hasSteps(): boolean {
    return this.#since().steps > 0;
  }

  readonly sums = (): EpochSums => ({ ...this.#totals });

  confirmed(confirmations: readonly Confirmation[]): void {
    this.#metrics.recordConfirmation(this.#stepStartMs, confirmations, this.#ownApplyMs);
    this.#endMs = performance.now();
    this.#place.tracer?.confirmed(confirmations, this.#endMs);
    this.#settleStep(this.#endMs);
  }

  left(): void {
    this.#endMs = Math.max(this.#endMs, this.#stepStartMs);
  }

  paused(): void {
    this.#pausedMs = performance.now();
  }

  resumed(): void {
    const stoodMs = performance.now() - this.#pausedMs!;
    this.#pausedMs = undefined;
    this.#metrics.skip(stoodMs);
    this.#startMs += stoodMs;
    this.#endMs += stoodMs;
    // No update is on its way: the members begin the next step at once.
    this.#ownApplyMs = 0;
  }

  close({ loss, accuracy, evaluationSeconds }: EvaluationFigures, learningRate: number): EpochRecord {
    const { epoch, wireRatio, isValidated, carried } = this.#place;
    const { wallMs, breakdown, workers, slowest } = this.#metrics.close(this.#endMs);
    const seconds = wallMs / 1000;
    const { samples, steps } = this.#since();
    const bytes = this.#traffic.total();
    // There is no step where an evaluation alone was left to do.
    const numOfStepsAndWorkers = Math.max(1, steps * this.#traffic.numWorkers);
    const flat = {
      ...partsInSeconds(breakdown),
      bytesSentPerStep: bytes.sent / numOfStepsAndWorkers,
      bytesReceivedPerStep: bytes.received / numOfStepsAndWorkers,
    };
    return {
      epoch,
      endedAt: new Date().toISOString(),
      learningRate,
      ...this.#figures(),
      testLoss: isValidated ? null : loss,
      testAccuracy: isValidated ? null : accuracy,
      ...(isValidated && { validationLoss: loss, validationAccuracy: accuracy }),
      seconds,
      evaluationSeconds,
      samples: this.#totals.numSamples,
      samplesPerSecond: steps > 0 ? samples / seconds : 0,
      steps: this.#totals.steps,
      ...(carried && { stepsBeforeResume: this.#carried.steps }),
      ...sumsOf(breakdown),
      ...flat,
      ...deprecatedEpochFields(flat),
      bytesSent: bytes.sent,
      bytesReceived: bytes.received,
      sharedBytesSent: bytes.sharedSent,
      sharedBytesReceived: bytes.sharedReceived,
      wireRatio,
      slowestWorker: slowest.member.name,
      slowestDelaySeconds: slowest.delayMs / 1000,
      numWorkers: workers.length,
      workers: workers.map(workerRecordOf),
    };
  }

  /** The epoch's clock: it stands still in a pause. */
  #nowMs(): number {
    return this.#pausedMs ?? performance.now();
  }

  /** The step at hand ends: its record has all the time since the one before. */
  #settleStep(atMs: number): void {
    const span = this.#metrics.settle(atMs);
    const { onStepRecord } = this.#place;
    if (!onStepRecord) return;
    const { step: reduced, plan } = this.#last!;
    const bytes = this.#traffic.sinceLast();
    const record = stepRecordOf({ ...span, plan, reduced, stepInEpoch: this.#totals.steps, bytes });
    onStepRecord(record, contributionsOf(reduced.arrivals));
  }

  /** What the time since the start was for. */
  #since() {
    const { numSamples, steps } = this.#totals;
    return { samples: numSamples - this.#carried.numSamples, steps: steps - this.#carried.steps };
  }

  #soFar(): EpochSoFar {
    const { wallMs, breakdown, workers, slowest } = this.#metrics.sumUp(this.#nowMs());
    const { sent, received } = this.#traffic.total();
    return {
      ...partsInSeconds(breakdown),
      seconds: wallMs / 1000,
      steps: this.#since().steps,
      bytesSent: sent,
      bytesReceived: received,
      slowestWorker: slowest.member.name,
      slowestDelaySeconds: slowest.delayMs / 1000,
      workers: workers.map(({ member: { id, name, engine }, samples, steps, computeMs, communicationMs }) => ({
        ...{ id, name, engine },
        workerSamples: samples,
        workerSteps: steps,
        workerComputeSeconds: computeMs / 1000,
        workerStepSeconds: (computeMs + communicationMs) / 1000,
      })),
    };
  }

  #figures() {
    const { lossSum, numCorrect, numSamples } = this.#totals;
    return { loss: lossSum / numSamples, trainAccuracy: numCorrect / numSamples };
  }
}

type ClosedMetrics = ReturnType<ReturnType<typeof openEpochMetrics>['close']>;

/** In seconds, three sums over all parts. */
const sumsOf = ({ computeMs, encodeMs, wireMs, waitMs, reduceMs, applyMs, otherMs }: ClosedMetrics['breakdown']) => ({
  computeSeconds: (computeMs + applyMs) / 1000,
  communicationSeconds: (encodeMs + wireMs + reduceMs) / 1000,
  otherSeconds: (waitMs + otherMs) / 1000,
});

function workerRecordOf({ member, samples, ...times }: ClosedMetrics['workers'][number]) {
  const flat = {
    workerSamples: samples,
    workerComputeSeconds: times.computeMs / 1000,
    workerCommunicationSeconds: times.communicationMs / 1000,
    workerWaitSeconds: times.waitMs / 1000,
  };
  const { id, name, engine, device, threads } = member;
  return { id, name, engine, device, threads, ...flat, ...deprecatedWorkerFields(flat) };
}
