/**
 * The engine of a simulated worker: exact arithmetic on whole numbers, and time that a schedule decides. Its sums tell
 * which samples were counted: a sample's number is in its image, and its loss is that number.
 */
import { IMAGE_BYTES } from '../helpers/fashion-mnist.ts';
import type { Dataset, SampleSet } from '../../protocol/data/dataset.ts';
import type { Engine, EngineOptions, Microbatch } from '../../worker/engines/engine.ts';

export interface EngineTimes {
  /** Milliseconds of a microbatch, now. */
  computeMs(): number;
  /** Of a chunk of the evaluation. */
  evaluateMs(): number;
  /** Whether the numbers of the microbatch that is computed now are nonsense. */
  isWrong(): boolean;
}

const NUM_CLASSES = 10;

/** Samples whose images hold their own number, from 1. */
function numberedSamples(numSamples: number): SampleSet {
  const images = new Uint8Array(numSamples * IMAGE_BYTES);
  for (let n = 0; n < numSamples; n++) images.set([(n + 1) & 255, (n + 1) >> 8], n * IMAGE_BYTES);
  return { images, labels: Uint8Array.from({ length: numSamples }, (_, n) => n % NUM_CLASSES), numSamples };
}

export const numberedDataset = (numTrain: number, numTest: number): Dataset<SampleSet> => ({
  train: numberedSamples(numTrain),
  evaluation: numberedSamples(numTest),
});

const numberOf = (images: Uint8Array, n: number): number =>
  images[n * IMAGE_BYTES]! + 256 * images[n * IMAGE_BYTES + 1]!;

const sumUpTo = (n: number) => (n * (n + 1)) / 2;

/** Mean loss over the samples of {@link numberedSamples}: what every epoch's record must say. */
export const expectedLoss = (numSamples: number): number => sumUpTo(numSamples) / numSamples;

/** The class that is predicted has the number of the sample as its output, all others 0. */
const predictedOf = (number: number): number => (number * 31) % NUM_CLASSES;

function fillOutputs({ images, numSamples }: Microbatch, outputs: Float32Array): void {
  outputs.fill(0);
  for (let n = 0; n < numSamples; n++) {
    const number = numberOf(images, n);
    outputs[n * NUM_CLASSES + predictedOf(number)] = number;
  }
}

/** What every epoch's evaluation must say of samples of {@link numberedSamples}: numbers of samples by label and prediction. */
export function expectedCells(numSamples: number): Map<string, number> {
  const cells = new Map<string, number>();
  for (let n = 0; n < numSamples; n++) {
    const cell = `${n % NUM_CLASSES} ${predictedOf(n + 1)}`;
    cells.set(cell, (cells.get(cell) ?? 0) + 1);
  }
  return cells;
}

export function createSimulatedEngine({ parameters }: EngineOptions, times: EngineTimes): Promise<Engine> {
  const wait = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
  const sumsOf = ({ images, numSamples }: Microbatch) => {
    const sums = { lossSum: 0, numCorrect: 0, numSamples };
    for (let n = 0; n < numSamples; n++) {
      const number = numberOf(images, n);
      sums.lossSum += number;
      sums.numCorrect += number & 1;
    }
    return sums;
  };
  return Promise.resolve({
    name: 'simulated',
    device: 'cpu',
    threads: 1,
    async computeGradient(batch, { gradient, statistics }) {
      const isWrong = times.isWrong();
      // What is read below must not have changed while this lasted.
      await wait(times.computeMs());
      const sums = sumsOf(batch);
      gradient.fill(isWrong ? NaN : 0);
      statistics.fill(1);
      for (let n = 0; n < batch.numSamples; n++) {
        const number = numberOf(batch.images, n);
        gradient[1 + ((number * 7919) % (gradient.length - 1))]! += ((number % 13) - 6) / 8;
      }
      for (let i = 1; i < gradient.length; i += 97) gradient[i]! += (parameters[i]! / 8) * batch.numSamples;
      // The mean of this value is 1, no matter who computes what: the same in every format that keeps whole numbers.
      gradient[0] = isWrong ? NaN : batch.numSamples;
      return sums;
    },
    async evaluate(batch, outputs) {
      await wait(times.evaluateMs());
      if (outputs) fillOutputs(batch, outputs);
      return sumsOf(batch);
    },
    dispose: () => Promise.resolve(),
  });
}
