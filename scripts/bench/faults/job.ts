/** What a measured run is told to do, and what it tells of itself. */
import { z } from 'zod';
import { ConfigError } from '../../../protocol/errors.ts';
import { modelSpecSchema } from '../../../protocol/state/model-spec.ts';

const faultSchema = z.strictObject({
  /** What the last of the workers is sent; one that is stopped is killed once the run has gone on for a while. */
  signal: z.enum(['SIGKILL', 'SIGSTOP']),
  /** The signal is sent `delayMs` after the end of this step. */
  afterStep: z.int().min(1),
  delayMs: z.number().min(0),
});

const jobSchema = z.strictObject({
  model: modelSpecSchema,
  engine: z.string(),
  dataFolder: z.string(),
  /** An epoch trains on this many samples, the first ones, and evaluates the first `testSamples`. */
  trainSamples: z.int().min(1),
  testSamples: z.int().min(1),
  runDir: z.string(),
  numWorkers: z.int().min(1),
  microbatches: z.int().min(1),
  epochs: z.int().min(1),
  /** Steps between checkpoints, besides those at epochs' ends. */
  checkpointEvery: z.int().min(1).optional(),
  fault: faultSchema.optional(),
});

export type Fault = Readonly<z.infer<typeof faultSchema>>;
export type FaultsJob = Readonly<z.infer<typeof jobSchema>>;

/** Moments are milliseconds of one clock, the coordinator's. */
export interface RunTrace {
  readonly parametersSha256: string;
  /** Of each epoch: when each of its steps had been averaged, sent and applied at the coordinator. */
  readonly stepEndsMs: readonly (readonly number[])[];
  /** When the signal was sent, when the coordinator found the worker lost, when another took its part. */
  readonly faultMs?: number;
  readonly lostMs?: number;
  readonly replacedMs?: number;
}

/** Reads a job from a process's last argument. Throws `ConfigError` for a text that holds none. */
export function parseFaultsJob(text: string): FaultsJob {
  const checked = jobSchema.safeParse(JSON.parse(text));
  if (checked.success) return checked.data;
  throw new ConfigError(`not a job for the benchmark of faults: ${z.prettifyError(checked.error)}`);
}
