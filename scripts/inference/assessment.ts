/** How well a model does on samples: loss and accuracy, per class, which classes it confuses, and where it is most wrong. */
import { countOf } from '../../protocol/counts.ts';
import { imageBytesOf, imagesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, Samples } from '../../protocol/data/dataset.ts';
import { BATCH, softmax } from './predictor.ts';
import type { Predictor } from './predictor.ts';

export interface ClassFigures {
  readonly name: string;
  /** Samples of this class. */
  readonly samples: number;
  /** Of those that were called this, how many were; null where none was. */
  readonly precision: number | null;
  /** Of those that were this, how many were called so; null where none was. */
  readonly recall: number | null;
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
  /** [label][predicted]: numbers of samples. */
  readonly confusion: readonly (readonly number[])[];
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

/** Computes all samples, in batches as a run evaluates them. */
export async function assess(
  predictor: Predictor,
  samples: Samples,
  { shape, classes, numWorst, onProgress }: AssessmentOptions,
): Promise<Assessment> {
  const { numSamples, labels } = samples;
  const numClasses = classes.length;
  const imageBytes = imageBytesOf(shape);
  const confusion = Array.from({ length: numClasses }, () => Array<number>(numClasses).fill(0));
  let [lossSum, numCorrect] = [0, 0];
  let worst: WrongSample[] = [];
  for (let first = 0; first < numSamples; first += BATCH) {
    const count = Math.min(BATCH, numSamples - first);
    const images = imagesOf(samples, first, count).subarray(0, count * imageBytes);
    const batch = { images, labels: labels.subarray(first, first + count), numSamples: count };
    const sums = await predictor.compute(batch);
    lossSum += sums.lossSum;
    numCorrect += sums.numCorrect;
    for (let i = 0; i < count; i++) {
      const probabilities = softmax(sums.outputs.subarray(i * numClasses, (i + 1) * numClasses));
      const label = labels[first + i]!;
      const predicted = argmax(probabilities);
      confusion[label]![predicted]!++;
      worst.push({
        index: first + i,
        label: classes[label]!,
        predicted: classes[predicted]!,
        probability: probabilities[label]!,
        predictedProbability: probabilities[predicted]!,
        loss: -Math.log(probabilities[label]!),
      });
    }
    worst = worst.sort((a, b) => b.loss - a.loss || a.index - b.index).slice(0, numWorst);
    onProgress?.(first + count);
  }
  return {
    samples: numSamples,
    loss: lossSum / numSamples,
    accuracy: numCorrect / numSamples,
    classes: classes.map((name, label) => figuresOf(name, label, confusion)),
    confusion,
    worst,
  };
}

/** The first of the largest. */
export function argmax(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

function figuresOf(name: string, label: number, confusion: readonly (readonly number[])[]): ClassFigures {
  const samples = sum(confusion[label]!);
  const called = sum(confusion.map((row) => row[label]!));
  const right = confusion[label]![label]!;
  return {
    name,
    samples,
    precision: called === 0 ? null : right / called,
    recall: samples === 0 ? null : right / samples,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The assessment for a terminal: figures, classes, the confusion matrix, the worst samples. */
export function describeAssessment({ samples, loss, accuracy, classes, confusion, worst }: Assessment): string[] {
  const fraction = (value: number | null) => (value === null ? '-' : value.toFixed(4));
  const nameWidth = Math.max(5, ...classes.map(({ name }) => name.length));
  const cellWidth = Math.max(4, ...confusion.flat().map((count) => String(count).length)) + 1;
  const labels = classes.map((_, label) => String(label));
  return [
    `${countOf(samples, 'sample')}: loss ${loss.toFixed(4)}, accuracy ${accuracy.toFixed(4)}`,
    '',
    `label  ${'class'.padEnd(nameWidth)}  samples  precision  recall`,
    ...classes.map(({ name, samples: count, precision, recall }, label) =>
      [
        String(label).padStart(5),
        name.padEnd(nameWidth),
        String(count).padStart(7),
        fraction(precision).padStart(9),
        fraction(recall).padStart(6),
      ].join('  '),
    ),
    '',
    'confusion: a row for each label, a column for each prediction',
    `      ${labels.map((label) => label.padStart(cellWidth)).join('')}`,
    ...confusion.map((row, label) => {
      const cells = row.map((count) => (count === 0 ? '.' : String(count)).padStart(cellWidth));
      return `${String(label).padStart(5)} ${cells.join('')}`;
    }),
    ...(worst.length === 0
      ? []
      : [
          '',
          'the worst samples',
          ...worst.map(({ index, label, predicted, probability, predictedProbability, loss: own }) => {
            const what = `${label} (${probability.toFixed(4)}), predicted ${predicted} (${predictedProbability.toFixed(4)})`;
            return `  ${String(index).padStart(6)}  loss ${own.toFixed(3)}  ${what}`;
          }),
        ]),
  ];
}
