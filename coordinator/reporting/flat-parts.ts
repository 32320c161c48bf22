/** The parts of the wall time as fields of a record: flat, and under names that nothing else in a record has. */
import type { StepParts } from './step-parts.ts';

/** Of a step; they add up to its `stepMs`. */
export interface PartsInMs {
  readonly computePartMs: number;
  readonly encodePartMs: number;
  readonly wirePartMs: number;
  readonly waitPartMs: number;
  readonly reducePartMs: number;
  readonly applyPartMs: number;
  readonly otherPartMs: number;
}

/** Of an epoch; they add up to its `seconds`. */
export interface PartsInSeconds {
  readonly computePartSeconds: number;
  readonly encodePartSeconds: number;
  readonly wirePartSeconds: number;
  readonly waitPartSeconds: number;
  readonly reducePartSeconds: number;
  readonly applyPartSeconds: number;
  readonly otherPartSeconds: number;
}

export const partsInMs = (parts: StepParts): PartsInMs => ({
  computePartMs: parts.computeMs,
  encodePartMs: parts.encodeMs,
  wirePartMs: parts.wireMs,
  waitPartMs: parts.waitMs,
  reducePartMs: parts.reduceMs,
  applyPartMs: parts.applyMs,
  otherPartMs: parts.otherMs,
});

export const partsInSeconds = (parts: StepParts): PartsInSeconds => ({
  computePartSeconds: parts.computeMs / 1000,
  encodePartSeconds: parts.encodeMs / 1000,
  wirePartSeconds: parts.wireMs / 1000,
  waitPartSeconds: parts.waitMs / 1000,
  reducePartSeconds: parts.reduceMs / 1000,
  applyPartSeconds: parts.applyMs / 1000,
  otherPartSeconds: parts.otherMs / 1000,
});
