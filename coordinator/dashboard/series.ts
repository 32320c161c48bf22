/**
 * Series: the steps of a run as a bounded number of points, however many steps there are.
 *
 * A point is the mean of steps that follow each other. When there are too many points, each two neighbours become one, and
 * a point stands for twice as many steps from then on. So adding a step takes constant time on average.
 */
import { STEP_PARTS } from '../reporting/step-sums.ts';
import type { StepRecord } from '../reporting/step-record.ts';
import { MOST_POINTS } from './run-view.ts';
import type { StepPoint } from './run-view.ts';

export interface Series {
  add(record: StepRecord): void;
  /** The points of all steps so far. Points of whole groups are the same objects in each answer until they are merged. */
  points(stepsPerEpoch: number): readonly StepPoint[];
}

/** Sums over a group of steps; the last step's place. */
interface Group {
  numSteps: number;
  step: number;
  epoch: number;
  stepInEpoch: number;
  learningRate: number;
  loss: number;
  accuracy: number;
  samples: number;
  stepMs: number;
  bytesSent: number;
  bytesReceived: number;
  readonly partsMs: number[];
  /** Once it has been asked for. */
  point?: StepPoint | undefined;
}

/** `mostPoints`: an even number. */
export function createSeries(mostPoints = MOST_POINTS): Series {
  let groups: Group[] = [];
  let width = 1;
  const openGroup = (): Group => {
    const last = groups.at(-1);
    if (last && last.numSteps < width) return last;
    if (groups.length === mostPoints) {
      groups = mergePairs(groups);
      width *= 2;
    }
    const group = emptyGroup();
    groups.push(group);
    return group;
  };

  return {
    add(record) {
      const group = openGroup();
      const { steps } = record;
      group.numSteps += steps;
      group.step = record.step;
      group.epoch = record.epoch;
      group.stepInEpoch = record.stepInEpoch;
      group.learningRate = record.learningRate;
      group.loss += record.loss * steps;
      group.accuracy += record.trainAccuracy * steps;
      group.samples += record.samples;
      group.stepMs += record.stepMs;
      group.bytesSent += record.bytesSent;
      group.bytesReceived += record.bytesReceived;
      for (let i = 0; i < STEP_PARTS.length; i++) group.partsMs[i]! += record[STEP_PARTS[i]![1]];
      group.point = undefined;
    },
    points: (stepsPerEpoch) => groups.map((group) => (group.point ??= pointOf(group, stepsPerEpoch))),
  };
}

const emptyGroup = (): Group => ({
  numSteps: 0,
  step: 0,
  epoch: 0,
  stepInEpoch: 0,
  learningRate: 0,
  loss: 0,
  accuracy: 0,
  samples: 0,
  stepMs: 0,
  bytesSent: 0,
  bytesReceived: 0,
  partsMs: STEP_PARTS.map(() => 0),
});

function mergePairs(groups: readonly Group[]): Group[] {
  return Array.from({ length: groups.length / 2 }, (_, i) => merge(groups[2 * i]!, groups[2 * i + 1]!));
}

function merge(a: Group, b: Group): Group {
  return {
    // Where the group ends: the later one's.
    step: b.step,
    epoch: b.epoch,
    stepInEpoch: b.stepInEpoch,
    learningRate: b.learningRate,
    numSteps: a.numSteps + b.numSteps,
    loss: a.loss + b.loss,
    accuracy: a.accuracy + b.accuracy,
    samples: a.samples + b.samples,
    stepMs: a.stepMs + b.stepMs,
    bytesSent: a.bytesSent + b.bytesSent,
    bytesReceived: a.bytesReceived + b.bytesReceived,
    partsMs: a.partsMs.map((ms, i) => ms + b.partsMs[i]!),
  };
}

function pointOf(group: Group, stepsPerEpoch: number): StepPoint {
  const { numSteps, step, epoch, stepInEpoch, learningRate, samples, stepMs } = group;
  const mean = (sum: number) => sum / numSteps;
  const [compute, encode, wire, wait, reduce, apply, other] = group.partsMs.map(mean);
  return {
    step,
    numSteps,
    epochs: epoch - 1 + stepInEpoch / Math.max(stepsPerEpoch, stepInEpoch),
    loss: mean(group.loss),
    trainAccuracy: mean(group.accuracy),
    learningRate,
    stepMs: mean(stepMs),
    samplesPerSecond: stepMs > 0 ? (1000 * samples) / stepMs : 0,
    bytesSent: mean(group.bytesSent),
    bytesReceived: mean(group.bytesReceived),
    computePartMs: compute!,
    encodePartMs: encode!,
    wirePartMs: wire!,
    waitPartMs: wait!,
    reducePartMs: reduce!,
    applyPartMs: apply!,
    otherPartMs: other!,
  };
}
