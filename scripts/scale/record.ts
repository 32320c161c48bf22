/** The record of a scaling measurement, `scale.json`: what was planned, where, and what each run took. All else is made of it. */
import { z } from 'zod';
import { ALL_REDUCES } from '../../coordinator/run-config.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { EpochFigures } from '../network/records.ts';
import { SCALINGS } from './plan.ts';

/** Means over the steps of one measured epoch; milliseconds and bytes a step. */
const epochSchema = z.object({
  stepMs: z.number(),
  samplesPerSecond: z.number(),
  computeMs: z.number(),
  communicationMs: z.number(),
  waitMs: z.number(),
  applyMs: z.number(),
  /** Of the coordinator and all workers, both ways, without what stayed in shared memory. */
  bytesSent: z.number(),
  sharedBytes: z.number(),
});
export type EpochStep = z.infer<typeof epochSchema>;

const runSchema = z.object({
  numWorkers: z.int().min(1),
  globalBatch: z.int().min(1),
  repetition: z.int().min(1),
  allReduce: z.enum(['star', 'ring']),
  parametersSha256: z.string(),
  epochs: z.array(epochSchema).min(1),
});
export type ScaleRun = z.infer<typeof runSchema>;

const recordSchema = z.object({
  format: z.literal(1),
  gradsock: z.string(),
  node: z.string(),
  cpu: z.string(),
  startedAt: z.string(),
  command: z.string(),
  plan: z.object({
    model: z.string(),
    data: z.string(),
    scalings: z.array(z.enum(SCALINGS)).min(1).readonly(),
    workers: z.array(z.int().min(1)).min(1).readonly(),
    globalBatch: z.int().min(1),
    microbatches: z.int().min(1),
    steps: z.int().min(1),
    epochs: z.int().min(2),
    repeat: z.int().min(1),
    allReduce: z.enum(ALL_REDUCES),
    wire: z.enum(WIRE_FORMATS),
  }),
  numTrainSamples: z.int().min(1),
  /** Bytes of a gradient as it travels, and into how many buckets the star cuts it where it is sent. */
  payloadBytes: z.int().min(1),
  buckets: z.int().min(1),
  place: z.object({
    /** In a line, for people. */
    description: z.string(),
    /** That all workers and the coordinator share; null: each has cores that no other uses. */
    sharedCores: z.int().min(1).nullable(),
    /** Of every host, where it is known. */
    link: z.object({ bitsPerSecond: z.number(), roundTripMs: z.number() }).nullable(),
    /** Whether the delay of the link is between two workers as well. */
    delaysPeers: z.boolean(),
  }),
  runs: z.array(runSchema).readonly(),
});
export type ScaleRecord = z.infer<typeof recordSchema>;

/** Throws `ConfigError` for a file that is missing or is none. */
export function readRecord(path: string): ScaleRecord {
  const { data, error } = recordSchema.safeParse(readJsonFile(path, path));
  if (data) return data;
  const [problem] = error.issues;
  throw new ConfigError(
    `${path}: ${problem!.path.join('.')}: ${problem!.message}: expected a scale.json of this version`,
  );
}

/** What is kept of a run's epochs: all but the first, which warms up. */
export function measuredEpochs(epochs: readonly EpochFigures[]): EpochStep[] {
  return epochs.slice(1).map((epoch) => {
    const perStepMs = (seconds: number) => (1000 * seconds) / epoch.steps;
    const shared = epoch.sharedBytesSent + epoch.sharedBytesReceived;
    return {
      stepMs: perStepMs(epoch.seconds),
      samplesPerSecond: epoch.samples / epoch.seconds,
      computeMs: perStepMs(epoch.computePartSeconds),
      communicationMs: perStepMs(epoch.encodePartSeconds + epoch.wirePartSeconds + epoch.reducePartSeconds),
      waitMs: perStepMs(epoch.waitPartSeconds),
      applyMs: perStepMs(epoch.applyPartSeconds),
      bytesSent: (epoch.bytesSent + epoch.bytesReceived - shared) / epoch.steps,
      sharedBytes: shared / epoch.steps,
    };
  });
}
