/**
 * What TensorBoard shows of a run: a subscriber that writes its figures as curves. Splits have the same tags, so that
 * TensorBoard draws the curves of training and evaluation into one picture.
 */
import { join } from 'node:path';
import type { Confusion } from '../confusion.ts';
import type { EpochRecord, Reporter } from '../reporter.ts';
import { isKthStep } from '../step-record.ts';
import type { StepRecord } from '../step-record.ts';
import { drawConfusionImage } from './confusion-image.ts';
import { createEventFiles } from './event-files.ts';
import type { EventFiles, Split } from './event-files.ts';
import { imageEvent, scalarsEvent } from './event.ts';

/** In the run directory. */
export const TENSORBOARD_FOLDER = 'tensorboard';

const CONFUSION_TAG = 'confusion_matrix';

export interface TensorboardOptions {
  /** K: of each K-th step there is a point. Default: of none. */
  readonly recordSteps?: number | undefined;
  readonly warn: (line: string) => void;
}

/**
 * A point of each curve at the end of each epoch, and its confusion matrix as an image where there is one, below `tensorboard/` in the run directory; nothing of a run that has none.
 * A file that cannot be written ends no run: `warn` is told once, and the rest is not written.
 */
export function createTensorboard({ recordSteps = 0, warn }: TensorboardOptions): Reporter {
  let files: EventFiles | undefined;
  /** Steps up to the end of the last epoch, or when this process began. */
  let numSteps = 0;
  let numClasses = 0;
  /** Of the epoch whose record comes next. */
  let confusion: Confusion | undefined;
  const flush = () => files?.flush();
  return {
    onStart(config, _members, runDir, stepsDone) {
      numSteps = stepsDone;
      ({ numClasses } = config.model);
      if (runDir === undefined) return;
      files = createEventFiles({ folder: join(runDir, TENSORBOARD_FOLDER), firstStep: stepsDone + 1, warn });
    },
    // Absent where no step is asked for: then no record of a step is made.
    ...(recordSteps > 0 && {
      onStep(record: StepRecord) {
        if (!isKthStep(record, recordSteps)) return;
        files?.add('train', scalarsEvent(secondsOf(record.endedAt), record.step, ofStep(record)));
      },
    }),
    onConfusion(ofNextRecord) {
      confusion = ofNextRecord;
    },
    onEpoch(record) {
      numSteps += record.steps - (record.stepsBeforeResume ?? 0);
      for (const [split, scalars] of ofEpoch(record)) {
        files?.add(split, scalarsEvent(secondsOf(record.endedAt), numSteps, scalars));
      }
      if (files && confusion) {
        const image = drawConfusionImage(confusion, numClasses);
        files.add(confusion.split, imageEvent(secondsOf(record.endedAt), numSteps, CONFUSION_TAG, image));
      }
      confusion = undefined;
      flush();
    },
    onEnd: flush,
    onRefused: flush,
  };
}

type Scalars = Readonly<Record<string, number>>;

/** Under names of their own: a curve of steps and one of epochs have other scales. */
function ofStep({ loss, trainAccuracy, learningRate }: StepRecord): Scalars {
  return { 'step/loss': loss, 'step/accuracy': trainAccuracy, 'step/learning_rate': learningRate };
}

/** The curves of each split that the epoch has figures of. */
function ofEpoch(record: EpochRecord): readonly (readonly [Split, Scalars])[] {
  const { testLoss, testAccuracy, validationLoss, validationAccuracy } = record;
  const evaluated = [
    ['test', testLoss, testAccuracy],
    ['validation', validationLoss, validationAccuracy],
  ] as const;
  return [
    ['train', ofTraining(record)],
    ...evaluated.flatMap(([split, loss, accuracy]) =>
      typeof loss === 'number' && typeof accuracy === 'number' ? [[split, { loss, accuracy }] as const] : [],
    ),
  ];
}

function ofTraining(record: EpochRecord): Scalars {
  return {
    loss: record.loss,
    accuracy: record.trainAccuracy,
    ...(record.learningRate !== undefined && { learning_rate: record.learningRate }),
    samples_per_second: record.samplesPerSecond,
    'time/compute_seconds': record.computePartSeconds,
    'time/encode_seconds': record.encodePartSeconds,
    'time/wire_seconds': record.wirePartSeconds,
    'time/wait_seconds': record.waitPartSeconds,
    'time/reduce_seconds': record.reducePartSeconds,
    'time/apply_seconds': record.applyPartSeconds,
    'time/other_seconds': record.otherPartSeconds,
    'time/evaluation_seconds': record.evaluationSeconds,
    'traffic/bytes_sent': record.bytesSent,
    'traffic/bytes_received': record.bytesReceived,
  };
}

const secondsOf = (endedAt: string | undefined): number =>
  (endedAt === undefined ? Date.now() : Date.parse(endedAt)) / 1000;
