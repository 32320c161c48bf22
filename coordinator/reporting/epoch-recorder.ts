/** Follows one epoch of the loop: takes the moments, keeps the sums, and makes the epoch's record. */
import type { ReducedStep } from '../all-reduce/all-reduce.ts';
import type { Confirmation } from '../members/state-proof.ts';
import type { EpochSums } from '../run-directory/checkpoint.ts';
import type { EvaluationFigures } from '../evaluation.ts';
import type { Member } from '../members/member.ts';
import { openEpochMetrics } from './metrics.ts';
import type { EpochRecord, Progress } from './reporter.ts';
import { Traffic } from './traffic.ts';

/** Calls come in the order of the loop: opened, then for each step reduced, distributed, applied; confirmed, close. */
export interface EpochRecorder {
  opened(): void;
  /** `numSteps`: those of a round, where steps are local. */
  reduced(step: ReducedStep, numSteps: number): void;
  distributed(): void;
  applied(): void;
  progress(): Progress;
  /** Of the steps so far, with those that were carried over. */
  readonly sums: () => EpochSums;
  confirmed(confirmations: readonly Confirmation[]): void;
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
}

export function createEpochRecorder(place: EpochPlace): EpochRecorder {
  return new RunEpochRecorder(place);
}

class RunEpochRecorder implements EpochRecorder {
  readonly #place: EpochPlace;
  readonly #carried: EpochSums;
  readonly #totals: { -readonly [K in keyof EpochSums]: EpochSums[K] };
  readonly #startMs = performance.now();
  readonly #traffic: Traffic;
  readonly #metrics: ReturnType<typeof openEpochMetrics>;
  #last: { readonly step: ReducedStep; readonly reducedMs: number } | undefined;
  #stepStartMs = this.#startMs;
  #ownApplyMs = 0;
  #endMs = this.#startMs;

  constructor(place: EpochPlace) {
    this.#place = place;
    this.#carried = place.carried ?? { lossSum: 0, numCorrect: 0, numSamples: 0, steps: 0 };
    this.#totals = { ...this.#carried };
    this.#traffic = new Traffic(place.members);
    this.#metrics = openEpochMetrics(this.#startMs, place.members);
  }

  opened(): void {
    this.#stepStartMs = performance.now();
  }

  reduced(step: ReducedStep, numSteps: number): void {
    this.#last = { step, reducedMs: performance.now() };
    this.#totals.lossSum += step.totals.lossSum;
    this.#totals.numCorrect += step.totals.numCorrect;
    this.#totals.numSamples += step.totals.numSamples;
    this.#totals.steps += numSteps;
    for (const { member } of step.arrivals) this.#traffic.tookPart(member);
    if (step.peerExchange) this.#traffic.exchanged(step.peerExchange);
  }

  distributed(): void {
    const sentMs = performance.now();
    const { step, reducedMs } = this.#last!;
    const { arrivals, peerExchange } = step;
    const moments = { startMs: this.#stepStartMs, reducedMs, sentMs, ownApplyMs: this.#ownApplyMs };
    this.#metrics.recordStep({ ...moments, arrivals, peerExchange });
    this.#stepStartMs = sentMs;
  }

  applied(): void {
    this.#ownApplyMs = performance.now() - this.#stepStartMs;
  }

  progress(): Progress {
    const { epoch, epochs, stepsPerEpoch, lastStep, pace } = this.#place;
    const { steps } = this.#totals;
    const secondsSoFar = (performance.now() - this.#startMs) / 1000;
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
    };
  }

  readonly sums = (): EpochSums => ({ ...this.#totals });

  confirmed(confirmations: readonly Confirmation[]): void {
    this.#metrics.recordConfirmation(this.#stepStartMs, confirmations, this.#ownApplyMs);
    this.#endMs = performance.now();
  }

  close({ loss, accuracy, evaluationSeconds }: EvaluationFigures, learningRate: number): EpochRecord {
    const { epoch, wireRatio, isValidated, carried } = this.#place;
    const { wallMs, breakdown, workers, slowest } = this.#metrics.close(this.#endMs);
    const seconds = wallMs / 1000;
    const { samples, steps } = this.#since();
    const bytes = this.#traffic.total();
    const { numWorkers } = this.#traffic;
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
      samplesPerSecond: samples / seconds,
      steps: this.#totals.steps,
      ...(carried && { stepsBeforeResume: this.#carried.steps }),
      ...secondsOf(breakdown),
      bytesSent: bytes.sent,
      bytesReceived: bytes.received,
      sharedBytesSent: bytes.sharedSent,
      sharedBytesReceived: bytes.sharedReceived,
      bytesPerStep: { sent: bytes.sent / steps / numWorkers, received: bytes.received / steps / numWorkers },
      wireRatio,
      slowestWorker: slowest.member.name,
      slowestDelaySeconds: slowest.delayMs / 1000,
      workers: workers.map(workerRecordOf),
    };
  }

  /** What the time since the start was for. */
  #since() {
    const { numSamples, steps } = this.#totals;
    return { samples: numSamples - this.#carried.numSamples, steps: steps - this.#carried.steps };
  }

  #figures() {
    const { lossSum, numCorrect, numSamples } = this.#totals;
    return { loss: lossSum / numSamples, trainAccuracy: numCorrect / numSamples };
  }
}

type ClosedMetrics = ReturnType<ReturnType<typeof openEpochMetrics>['close']>;

/** Milliseconds as the record has them, in seconds; three sums, and all parts. */
function secondsOf({ computeMs, encodeMs, wireMs, waitMs, reduceMs, applyMs, otherMs }: ClosedMetrics['breakdown']) {
  return {
    computeSeconds: (computeMs + applyMs) / 1000,
    communicationSeconds: (encodeMs + wireMs + reduceMs) / 1000,
    otherSeconds: (waitMs + otherMs) / 1000,
    breakdown: {
      computeSeconds: computeMs / 1000,
      encodeSeconds: encodeMs / 1000,
      wireSeconds: wireMs / 1000,
      waitSeconds: waitMs / 1000,
      reduceSeconds: reduceMs / 1000,
      applySeconds: applyMs / 1000,
      otherSeconds: otherMs / 1000,
    },
  };
}

const workerRecordOf = ({ member, samples, ...times }: ClosedMetrics['workers'][number]) => ({
  id: member.id,
  name: member.name,
  engine: member.engine,
  device: member.device,
  threads: member.threads,
  samples,
  computeSeconds: times.computeMs / 1000,
  communicationSeconds: times.communicationMs / 1000,
  waitSeconds: times.waitMs / 1000,
});
