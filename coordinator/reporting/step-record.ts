/** StepRecord: what is told of one step. Its names are those of `EpochRecord` where they mean the same. */
import type { ReducedStep } from '../all-reduce/all-reduce.ts';
import type { StepPlan } from '../step/step-plan.ts';
import { partsInMs } from './flat-parts.ts';
import type { PartsInMs } from './flat-parts.ts';
import type { StepParts } from './step-parts.ts';
import type { Bytes } from './traffic.ts';

/**
 * One line of `steps.jsonl`: of a step that every replica applies; with local steps of a round, which ends with step `step`.
 * Flat: every field is a number, or a text.
 *
 * An epoch's first step begins with the epoch, and its last one ends with the proof that all replicas are equal: so the
 * times of its steps add up to the epoch's `seconds`, and each part to the epoch's.
 */
export interface StepRecord extends PartsInMs {
  readonly epoch: number;
  /** From 1: in the run, and in the epoch. */
  readonly step: number;
  readonly stepInEpoch: number;
  /** 1; with local steps, those of the round. */
  readonly steps: number;
  /** In ISO 8601. */
  readonly endedAt: string;
  /** Of a round: its last step's. */
  readonly learningRate: number;
  /** Mean over the step's samples, in nats; and the part of them that was classified correctly. */
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly samples: number;
  /** Workers whose gradients are in the average. */
  readonly numWorkers: number;
  readonly stepMs: number;
  /** As in the epoch's record, without what the evaluation sends. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly sharedBytesSent: number;
  readonly sharedBytesReceived: number;
}

export interface StepFacts {
  readonly plan: StepPlan;
  readonly reduced: ReducedStep;
  /** Number of the plan's last step in its epoch, from 1. */
  readonly stepInEpoch: number;
  readonly wallMs: number;
  readonly parts: StepParts;
  readonly bytes: Bytes;
}

/** Whether it is of a step whose number K divides; of a round: whether it has such a step. */
export const isKthStep = ({ step, steps }: Pick<StepRecord, 'step' | 'steps'>, k: number): boolean =>
  Math.floor(step / k) !== Math.floor((step - steps) / k);

/** The record of a step that ends now. */
export function stepRecordOf({ plan, reduced, stepInEpoch, wallMs, parts, bytes }: StepFacts): StepRecord {
  const { lossSum, numCorrect, numSamples } = reduced.totals;
  return {
    epoch: plan.epoch,
    step: plan.step + plan.numSteps - 1,
    stepInEpoch,
    steps: plan.numSteps,
    endedAt: new Date().toISOString(),
    learningRate: (plan.localRates?.at(-1) ?? plan.rates).learningRate,
    loss: lossSum / numSamples,
    trainAccuracy: numCorrect / numSamples,
    samples: numSamples,
    numWorkers: new Set(reduced.arrivals.map(({ member }) => member.id)).size,
    stepMs: wallMs,
    ...partsInMs(parts),
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
    sharedBytesSent: bytes.sharedSent,
    sharedBytesReceived: bytes.sharedReceived,
  };
}
