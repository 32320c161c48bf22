/**
 * Calibration: the constants of the cost model, from runs without a limit. It inverts the model there: what a step takes
 * beyond computing is handling.
 */
import type { Algorithm, Handling } from '../../network/cost-model.ts';
import { handlingUnits, sharedComputeMs } from '../../network/cost-model.ts';

/** A run without a limited link. */
export interface FreeRun {
  readonly payloadBytes: number;
  readonly stepMs: number;
  /** Of one worker with a core to itself, as the baseline measured it. */
  readonly computeMs: number;
}

/**
 * What handling costs when `numWorkers` share `cores`: the straight line through what two or more runs, with payloads of
 * different sizes, took beyond computing.
 *
 * Least squares, without negative costs: a line that would start below zero is laid through it.
 */
export function calibrateHandling(
  algorithm: Algorithm,
  numWorkers: number,
  cores: number,
  runs: readonly FreeRun[],
): Handling {
  const points = runs.map(({ payloadBytes, stepMs, computeMs }) => {
    const { units, bytes } = handlingUnits(algorithm, numWorkers, payloadBytes);
    const beyondMs = Math.max(0, stepMs - sharedComputeMs({ numWorkers, computeMs, cores }));
    return { bytes, ms: beyondMs / units };
  });
  const mean = (value: (point: { bytes: number; ms: number }) => number) =>
    points.reduce((sum, point) => sum + value(point), 0) / points.length;
  const [meanBytes, meanMs] = [mean(({ bytes }) => bytes), mean(({ ms }) => ms)];
  const spread = mean(({ bytes }) => (bytes - meanBytes) ** 2);
  const slope = spread > 0 ? mean(({ bytes, ms }) => (bytes - meanBytes) * (ms - meanMs)) / spread : 0;
  const fixedMs = meanMs - slope * meanBytes;
  if (slope < 0) return { fixedMs: meanMs, msPerByte: 0 };
  if (fixedMs < 0) return { fixedMs: 0, msPerByte: meanMs / meanBytes };
  return { fixedMs, msPerByte: slope };
}
