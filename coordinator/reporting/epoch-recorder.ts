/** Follows one epoch of the loop: takes the moments, keeps the sums, and makes the epoch's record. */
import type { ReducedStep } from '../all-reduce/all-reduce.ts';
import type { Confirmation } from '../members/state-proof.ts';
import type { EpochSums } from '../run-directory/checkpoint.ts';
import type { EvaluationFigures } from '../evaluation.ts';
import type { Member } from '../members/member.ts';
import { openEpochMetrics } from './metrics.ts';
import type { EpochRecord, Progress } from './reporter.ts';

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
  close(evaluated: EvaluationFigures): EpochRecord;
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
  const { epoch, epochs, stepsPerEpoch, members, wireRatio, lastStep, pace } = place;
  const carried = place.carried ?? { lossSum: 0, numCorrect: 0, numSamples: 0, steps: 0 };
  const startMs = performance.now();
  /** By connection: a worker that comes back has several. */
  const seen = new Map([...members].map((member) => [member, bytesOf(member)]));
  const metrics = openEpochMetrics(startMs, members);
  const totals = { ...carried };
  /** What the time since the start was for. */
  const since = () => ({ samples: totals.numSamples - carried.numSamples, steps: totals.steps - carried.steps });
  let last: { step: ReducedStep; reducedMs: number } | undefined;
  let stepStartMs = startMs;
  let ownApplyMs = 0;
  /** Between workers; each byte is sent by one and received by another. */
  const peerBytes = { sent: 0, received: 0, sharedSent: 0, sharedReceived: 0 };
  let endMs = startMs;

  return {
    opened() {
      stepStartMs = performance.now();
    },
    reduced(step, numSteps) {
      last = { step, reducedMs: performance.now() };
      totals.lossSum += step.totals.lossSum;
      totals.numCorrect += step.totals.numCorrect;
      totals.numSamples += step.totals.numSamples;
      totals.steps += numSteps;
      // A member that joined in this epoch was sent the state during it.
      for (const { member } of step.arrivals) if (!seen.has(member)) seen.set(member, NO_BYTES);
      peerBytes.sent += step.peerExchange?.bytesSent ?? 0;
      peerBytes.received += step.peerExchange?.bytesReceived ?? 0;
    },
    distributed() {
      const sentMs = performance.now();
      const { step, reducedMs } = last!;
      const { arrivals, peerExchange } = step;
      metrics.recordStep({ startMs: stepStartMs, arrivals, reducedMs, sentMs, ownApplyMs, peerExchange });
      stepStartMs = sentMs;
    },
    applied() {
      ownApplyMs = performance.now() - stepStartMs;
    },
    progress() {
      const secondsSoFar = (performance.now() - startMs) / 1000;
      const stepsLeft = lastStep - (epoch - 1) * stepsPerEpoch - totals.steps;
      const secondsOfStep = (pace.seconds + secondsSoFar) / (pace.steps + since().steps);
      const evaluationsLeft = Math.ceil(lastStep / stepsPerEpoch) - epoch + 1;
      return {
        epoch,
        epochs,
        stepInEpoch: totals.steps,
        stepsPerEpoch,
        loss: totals.lossSum / totals.numSamples,
        trainAccuracy: totals.numCorrect / totals.numSamples,
        samplesPerSecond: since().samples / secondsSoFar,
        runSecondsLeft: stepsLeft * secondsOfStep + evaluationsLeft * pace.evaluationSeconds,
      };
    },
    sums: () => ({ ...totals }),
    confirmed(confirmations) {
      metrics.recordConfirmation(stepStartMs, confirmations, ownApplyMs);
      endMs = performance.now();
    },
    close({ loss, accuracy, evaluationSeconds }) {
      const { wallMs, breakdown, workers, slowest } = metrics.close(endMs);
      const seconds = wallMs / 1000;
      const bytes = { ...peerBytes };
      for (const [member, before] of seen) {
        const now = bytesOf(member);
        bytes.sent += now.sent - before.sent;
        bytes.received += now.received - before.received;
        bytes.sharedSent += now.sharedSent - before.sharedSent;
        bytes.sharedReceived += now.sharedReceived - before.sharedReceived;
      }
      const numWorkers = new Set([...seen.keys()].map(({ id }) => id)).size;
      const { computeMs, encodeMs, wireMs, waitMs, reduceMs, applyMs, otherMs } = breakdown;
      return {
        epoch,
        loss: totals.lossSum / totals.numSamples,
        trainAccuracy: totals.numCorrect / totals.numSamples,
        testLoss: place.isValidated ? null : loss,
        testAccuracy: place.isValidated ? null : accuracy,
        ...(place.isValidated && { validationLoss: loss, validationAccuracy: accuracy }),
        seconds,
        evaluationSeconds,
        samples: totals.numSamples,
        samplesPerSecond: since().samples / seconds,
        steps: totals.steps,
        ...(place.carried && { stepsBeforeResume: carried.steps }),
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
        bytesSent: bytes.sent,
        bytesReceived: bytes.received,
        sharedBytesSent: bytes.sharedSent,
        sharedBytesReceived: bytes.sharedReceived,
        bytesPerStep: {
          sent: bytes.sent / since().steps / numWorkers,
          received: bytes.received / since().steps / numWorkers,
        },
        wireRatio,
        slowestWorker: slowest.member.name,
        slowestDelaySeconds: slowest.delayMs / 1000,
        workers: workers.map(({ member, samples, ...times }) => ({
          id: member.id,
          name: member.name,
          engine: member.engine,
          device: member.device,
          threads: member.threads,
          samples,
          computeSeconds: times.computeMs / 1000,
          communicationSeconds: times.communicationMs / 1000,
          waitSeconds: times.waitMs / 1000,
        })),
      };
    },
  };
}

/** Bytes of frames to and from a worker so far. Evaluation's few bytes count towards the epoch they end. */
const bytesOf = ({ transport }: Member) => ({
  sent: transport.bytesSent,
  received: transport.bytesReceived,
  sharedSent: transport.sharedBytesSent,
  sharedReceived: transport.sharedBytesReceived,
});

const NO_BYTES = { sent: 0, received: 0, sharedSent: 0, sharedReceived: 0 };
