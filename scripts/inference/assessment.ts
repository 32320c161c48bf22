/** How well a model does on samples: loss and accuracy, per class, which classes it confuses, and where it is most wrong. */
import { imageBytesOf, imagesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, Samples } from '../../protocol/data/dataset.ts';
import { predict, softmax } from '../../protocol/vectors/softmax.ts';
import { BATCH } from './predictor.ts';
import type { Predictor } from './predictor.ts';

export interface ClassFigures {
  readonly name: string;
  /** Samples of this class. */
  readonly samples: number;
  /** Of these, how many were called so. */
  readonly correct: number;
  /** Of those that were called this, how many were; null where none was. */
  readonly precision: number | null;
  /** Of those that were this, how many were called so; null where none was. */
  readonly recall: number | null;
}

/** Samples of one class that were called another. */
export interface ConfusedPair {
  readonly label: number;
  readonly predicted: number;
  readonly samples: number;
}

export interface WrongSample {
  /** In its split, from 0. */
  readonly index: number;
  readonly label: string;
  readonly predicted: string;
  /** That of its label and of what was predicted. */
  readonly probability: number;
  readonly predictedProbability: number;
  /** Cross-entropy, in nats. */
  readonly loss: number;
}

export interface Assessment {
  readonly samples: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
  readonly accuracy: number;
  readonly classes: readonly ClassFigures[];
  /** [label][predicted]: numbers of samples. Absent for more than 256 classes, which `confused` takes less room for. */
  readonly confusion?: readonly (readonly number[])[];
  /** All pairs that were confused, those with the most samples first. */
  readonly confused: readonly ConfusedPair[];
  /** Those with the largest losses, the worst first. */
  readonly worst: readonly WrongSample[];
}

export interface AssessmentOptions {
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  readonly numWorst: number;
  /** Told how many are done. */
  readonly onProgress?: (numDone: number) => void;
}

/** Most classes that are told of as a matrix. */
const MOST_IN_MATRIX = 256;

/** Computes all samples, in batches as a run evaluates them. */
export async function assess(
  predictor: Predictor,
  samples: Samples,
  { shape, classes, numWorst, onProgress }: AssessmentOptions,
): Promise<Assessment> {
  const { numSamples, labels } = samples;
  const numClasses = classes.length;
  const imageBytes = imageBytesOf(shape);
  /** Numbers of samples, by label x classes + prediction: no more entries than there are samples. */
  const cells = new Map<number, number>();
  let [lossSum, numCorrect] = [0, 0];
  const [predictions, losses] = [new Float64Array(BATCH), new Float64Array(BATCH)];
  let worst: WrongSample[] = [];
  for (let first = 0; first < numSamples; first += BATCH) {
    const count = Math.min(BATCH, numSamples - first);
    const images = imagesOf(samples, first, count).subarray(0, count * imageBytes);
    const batch = { images, labels: labels.subarray(first, first + count), numSamples: count };
    const sums = await predictor.compute(batch);
    lossSum += sums.lossSum;
    numCorrect += sums.numCorrect;
    predict(sums.outputs, batch.labels, numClasses, { predicted: predictions, losses });
    for (let i = 0; i < count; i++) {
      const probabilities = softmax(sums.outputs.subarray(i * numClasses, (i + 1) * numClasses));
      const label = labels[first + i]!;
      const predicted = predictions[i]!;
      const cell = label * numClasses + predicted;
      cells.set(cell, (cells.get(cell) ?? 0) + 1);
      worst.push({
        index: first + i,
        label: classes[label]!,
        predicted: classes[predicted]!,
        probability: probabilities[label]!,
        predictedProbability: probabilities[predicted]!,
        loss: losses[i]!,
      });
    }
    worst = worst.sort((a, b) => b.loss - a.loss || a.index - b.index).slice(0, numWorst);
    onProgress?.(first + count);
  }
  return {
    samples: numSamples,
    loss: lossSum / numSamples,
    accuracy: numCorrect / numSamples,
    ...figuresOf(classes, cells),
    worst,
  };
}

/** What the numbers of samples in each cell of the confusion matrix say. */
export function figuresOf(
  classes: readonly string[],
  cells: ReadonlyMap<number, number>,
): Pick<Assessment, 'classes' | 'confusion' | 'confused'> {
  const numClasses = classes.length;
  const [samples, called, correct] = [0, 0, 0].map(() => new Float64Array(numClasses)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const confused: ConfusedPair[] = [];
  for (const [cell, count] of cells) {
    const [label, predicted] = [Math.floor(cell / numClasses), cell % numClasses];
    samples[label]! += count;
    called[predicted]! += count;
    if (label === predicted) correct[label] = count;
    else confused.push({ label, predicted, samples: count });
  }
  confused.sort((a, b) => b.samples - a.samples || a.label - b.label || a.predicted - b.predicted);
  const fraction = (part: number, whole: number) => (whole === 0 ? null : part / whole);
  return {
    classes: classes.map((name, label) => ({
      name,
      samples: samples[label]!,
      correct: correct[label]!,
      precision: fraction(correct[label]!, called[label]!),
      recall: fraction(correct[label]!, samples[label]!),
    })),
    ...(numClasses <= MOST_IN_MATRIX && {
      confusion: classes.map((_, label) =>
        classes.map((__, predicted) => cells.get(label * numClasses + predicted) ?? 0),
      ),
    }),
    confused,
  };
}
