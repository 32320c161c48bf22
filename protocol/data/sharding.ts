/**
 * Which samples a step and a microbatch hold: arithmetic that both sides do alike, so that an assignment needs to name
 * microbatches only. An epoch visits its samples in `epochOrder`; a global batch is a run of that order, the last one of
 * an epoch shorter when the samples do not divide; a microbatch is a run of its global batch.
 */

/** A run of positions: `first`, `first + 1`, ... `first + count - 1`. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

export function stepsPerEpoch(numSamples: number, globalBatch: number): number {
  return Math.ceil(numSamples / globalBatch);
}

/** The positions in the epoch's order that step `stepInEpoch` (from 0) visits. */
export function globalBatchRange(stepInEpoch: number, globalBatch: number, numSamples: number): Range {
  const first = stepInEpoch * globalBatch;
  return { first, count: Math.min(globalBatch, numSamples - first) };
}

/** How many microbatches a global batch is cut into: as configured, but none may be empty at an epoch's ragged end. */
export function microbatchesOf(batch: Range, numMicrobatches: number): number {
  return Math.min(numMicrobatches, batch.count);
}

/** Microbatch `index` of a global batch that is to be cut into `numMicrobatches`: empty where samples are too few. */
export function microbatchRange(batch: Range, numMicrobatches: number, index: number): Range {
  const numParts = microbatchesOf(batch, numMicrobatches);
  return index < numParts ? part(batch, numParts, index) : { first: batch.first + batch.count, count: 0 };
}

/** Samples of the largest microbatch of a run: a global batch has no more samples than there are. */
export function largestMicrobatch(run: {
  readonly globalBatch: number;
  readonly numMicrobatches: number;
  readonly numTrainSamples: number;
}): number {
  return Math.ceil(Math.min(run.globalBatch, run.numTrainSamples) / run.numMicrobatches);
}

/**
 * Part `index` of `numParts` of a range; parts differ by one at most and together are the range: part i holds positions
 * floor(i n / parts) to floor((i + 1) n / parts). Cuts global batches into microbatches, and work among workers.
 */
export function part(range: Range, numParts: number, index: number): Range {
  const start = Math.floor((index * range.count) / numParts);
  const end = Math.floor(((index + 1) * range.count) / numParts);
  return { first: range.first + start, count: end - start };
}
