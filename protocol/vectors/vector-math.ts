/**
 * VectorMath: the loops over whole vectors that every replica and reduction must do to the same bits.
 *
 * The plain one is TypeScript and runs everywhere. A faster one may stand in for it wherever it is at hand, on some
 * replicas of a run and not on others, because it gives the same bits: float32 at every operation, nothing contracted.
 */
import { createEncoding } from './encoding.ts';
import type { CompactFormat, Encoding } from './encoding.ts';
import { createOptimizer } from './optimizer.ts';
import type { Optimizer, OptimizerConfig } from './optimizer.ts';
import { addVectors, divideVector, subtractVectors } from './reduction.ts';

export interface VectorMath {
  /** sum[i] <- left[i] + right[i]; see {@link addVectors}. */
  readonly addVectors: (sum: Float32Array, left: Float32Array, right: Float32Array) => void;
  /** difference[i] <- left[i] - right[i]; see {@link subtractVectors}. */
  readonly subtractVectors: (difference: Float32Array, left: Float32Array, right: Float32Array) => void;
  /** mean[i] <- sum[i] / numSamples, and whether all are finite; see {@link divideVector}. */
  readonly divideVector: (mean: Float32Array, sum: Float32Array, numSamples: number) => boolean;
  /** Whether no value is an infinity or NaN; see {@link isFiniteVector}. */
  readonly isFiniteVector: (values: Float32Array) => boolean;
  /** The update rule of a configuration; see {@link createOptimizer}. */
  readonly createOptimizer: (config: OptimizerConfig) => Optimizer;
  /** How values travel in a format; see `encoding.ts`. */
  readonly createEncoding: (format: CompactFormat) => Encoding;
  /** rows[i] <- table[indices[i]]; see {@link gatherRows}. */
  readonly gatherRows: (rows: Uint8Array, table: Uint8Array, indices: Uint32Array, rowBytes: number) => void;
}

/**
 * rows[i] <- table[indices[i]], rows of `rowBytes` bytes: how a microbatch is put together.
 *
 * - `table` [numRows, rowBytes]; every index is below numRows
 * - `rows` [indices.length, rowBytes]; may be longer, the rest stays as it is
 */
export function gatherRows(rows: Uint8Array, table: Uint8Array, indices: Uint32Array, rowBytes: number): void {
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * rowBytes;
    rows.set(table.subarray(from, from + rowBytes), i * rowBytes);
  }
}

export const plainVectorMath: VectorMath = {
  addVectors,
  subtractVectors,
  divideVector,
  isFiniteVector,
  createOptimizer,
  createEncoding,
  gatherRows,
};

/** Whether no value is an infinity or NaN; true of an empty vector. */
export function isFiniteVector(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
