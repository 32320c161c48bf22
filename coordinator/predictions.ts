/** Predictions: what each sample that is evaluated was predicted as, and its loss, as workers answer. */
import { countOf } from '../protocol/counts.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Range } from '../protocol/data/sharding.ts';

/** Of one evaluation: overwritten by the next. */
export interface Predictions {
  /** [numSamples] classes. */
  readonly predicted: Uint8Array<ArrayBuffer>;
  /** [numSamples], in nats; may be no numbers. */
  readonly losses: Float32Array<ArrayBuffer>;
  readonly numClasses: number;
}

/** Of larger evaluations, and of more classes, no predictions are asked for: an answer is one payload, a class one byte. */
const MOST_SAMPLES = 200_000;
const MOST_CLASSES = 256;

/** Numbers in an answer for each sample: its class and its loss. */
const NUMBERS_A_SAMPLE = 2;

/** Memory for the predictions of a run's evaluations; undefined where there are none to be asked for. */
export function createPredictions(numSamples: number, numClasses: number): Predictions | undefined {
  if (numSamples === 0 || numSamples > MOST_SAMPLES || numClasses > MOST_CLASSES) return undefined;
  return { predicted: new Uint8Array(numSamples), losses: new Float32Array(numSamples), numClasses };
}

/** The longest answer: that of the only worker, which evaluates everything. */
export const answerBytesOf = (predictions: Predictions | undefined): number =>
  NUMBERS_A_SAMPLE * Float32Array.BYTES_PER_ELEMENT * (predictions?.losses.length ?? 0);

/**
 * Enters the payload of an answer for `samples`, of which nothing is kept. Throws ERR_SHAPE_MISMATCH, with nothing entered, for
 * a payload of another length, or a class that there is not.
 */
export function enterPredictions(
  { predicted, losses, numClasses }: Predictions,
  { first, count }: Range,
  payload: Float32Array,
): void {
  checkLength(payload, NUMBERS_A_SAMPLE * count);
  for (let i = 0; i < count; i++) {
    const label = payload[i]!;
    if (Number.isInteger(label) && label >= 0 && label < numClasses) continue;
    const message = `sample ${first + i} predicted as class ${label}, expected 0 to ${numClasses - 1}`;
    throw new ProtocolError('ERR_SHAPE_MISMATCH', message);
  }
  predicted.set(payload.subarray(0, count), first);
  losses.set(payload.subarray(count), first);
}

/** Where none were asked for, too: then 0 numbers are expected. Throws ERR_SHAPE_MISMATCH. */
export function checkLength(payload: Float32Array, expected: number): void {
  if (payload.length === expected) return;
  const message = `predictions and losses: ${countOf(payload.length, 'number')}, expected ${expected}`;
  throw new ProtocolError('ERR_SHAPE_MISMATCH', message);
}
