/** Sample source: the samples of a microbatch, by its place in the run, augmented, as an engine takes them. */
import { createAugmenter } from '../../protocol/data/augmentation.ts';
import { dropoutKey } from '../../protocol/data/dropout.ts';
import { imageBytesOf } from '../../protocol/data/dataset.ts';
import type { Dataset, ImageShape, Samples } from '../../protocol/data/dataset.ts';
import { bytesOfLabels } from '../../protocol/data/labels.ts';
import { epochOrder } from '../../protocol/data/random.ts';
import { globalBatchRange, largestMicrobatch, microbatchRange } from '../../protocol/data/sharding.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Microbatch } from '../engines/engine.ts';

export interface SourceOptions {
  readonly welcome: Pick<
    MessageOf<'welcome'>,
    'model' | 'seed' | 'globalBatch' | 'numMicrobatches' | 'numTrainSamples' | 'augmentation'
  >;
  readonly dataset: Dataset;
  readonly vectorMath: VectorMath;
}

/** Returns a function that gathers microbatch `index` of a step, in memory that it uses again at the next call. */
export function createSampleSource({ welcome, dataset, vectorMath }: SourceOptions) {
  const { globalBatch, numMicrobatches, seed, numTrainSamples, augmentation } = welcome;
  const { input: shape } = welcome.model;
  const augment = augmentation && createAugmenter(augmentation, shape);
  const gather = createGatherer(dataset.train, { maxSamples: largestMicrobatch(welcome), shape, vectorMath });
  const orderOf = rememberLast((epoch: number) => epochOrder(seed, epoch, numTrainSamples));
  return (epoch: number, stepInEpoch: number, index: number): Microbatch => {
    const batch = globalBatchRange(stepInEpoch, globalBatch, numTrainSamples);
    const { first, count } = microbatchRange(batch, numMicrobatches, index);
    const indices = orderOf(epoch).subarray(first, first + count);
    const microbatch = gather(indices);
    augment?.(microbatch.images, { seed, epoch, indices });
    return { ...microbatch, dropoutKeys: indices.map((sample) => dropoutKey(seed, epoch, sample)) };
  };
}

interface GathererOptions {
  readonly maxSamples: number;
  readonly shape: ImageShape;
  readonly vectorMath: VectorMath;
}

/** Returns a function that copies the samples at `indices` into one reused microbatch. */
function createGatherer(samples: Samples, { maxSamples, shape, vectorMath: { gatherRows } }: GathererOptions) {
  const imageBytes = imageBytesOf(shape);
  const images = new Uint8Array(maxSamples * imageBytes);
  const labelBytes = samples.labels.BYTES_PER_ELEMENT;
  const labels = labelBytes === 1 ? new Uint8Array(maxSamples) : new Uint16Array(maxSamples);
  const [labelRows, labelTable] = [labels, samples.labels].map(bytesOfLabels) as [Uint8Array, Uint8Array];
  return (indices: Uint32Array) => {
    if ('stored' in samples) samples.stored.gather(images, indices);
    else gatherRows(images, samples.images, indices, imageBytes);
    gatherRows(labelRows, labelTable, indices, labelBytes);
    return { images, labels, numSamples: indices.length };
  };
}

/** The function with its last result kept: an epoch's order is asked for at every step. */
function rememberLast<A, R>(compute: (argument: A) => R): (argument: A) => R {
  let last: { argument: A; result: R } | undefined;
  return (argument) => {
    if (last?.argument !== argument) last = { argument, result: compute(argument) };
    return last.result;
  };
}
