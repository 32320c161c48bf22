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

/** Samples whose images hold their own number, from 1. */
function numberedSamples(numSamples: number): SampleSet {
  const images = new Uint8Array(numSamples * IMAGE_BYTES);
  for (let n = 0; n < numSamples; n++) images.set([(n + 1) & 255, (n + 1) >> 8], n * IMAGE_BYTES);
  return { images, labels: Uint8Array.from({ length: numSamples }, (_, n) => n % 10), numSamples };
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
    async evaluate(batch) {
      await wait(times.evaluateMs());
      return sumsOf(batch);
    },
    dispose: () => Promise.resolve(),
  });
}
