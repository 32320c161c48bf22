/** What a leading process of ours is told to do, and the run that it makes of that. */
import { z } from 'zod';
import type { RunConfig } from '../../../coordinator/run-config.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { modelSpecSchema } from '../../../protocol/state/model-spec.ts';
import { WIRE_FORMATS } from '../../../protocol/vectors/encoding.ts';
import { DEFAULT_RECIPE } from '../../flags/recipe.ts';
import { BENCH_OPTIMIZER, BENCH_SEED } from '../../survey/settings.ts';

const jobSchema = z.strictObject({
  model: modelSpecSchema,
  engine: z.string(),
  dataFolder: z.string(),
  globalBatch: z.int().min(1),
  /** Worker processes; `baseline` is one worker in the leading process itself, without sockets. */
  numWorkers: z.union([z.int().min(1), z.literal('baseline')]),
  wire: z.enum(WIRE_FORMATS),
  /** Whether vectors stay in this machine's memory, as they do in a run; else they are sent. */
  sharesMemory: z.boolean(),
});

export type TrainJob = Readonly<z.infer<typeof jobSchema>>;

/** Reads a job from a process's last argument. Throws `ConfigError` for a text that holds none. */
export function parseTrainJob(text: string): TrainJob {
  const checked = jobSchema.safeParse(JSON.parse(text));
  if (checked.success) return checked.data;
  throw new ConfigError(`not a job for the training benchmark: ${z.prettifyError(checked.error)}`);
}

/**
 * The default recipe's run, with a microbatch a worker. Of the training samples it has as many as make whole batches,
 * as PyTorch's side has: a ragged last step of an epoch would be a quicker one.
 *
 * Throws `ConfigError` when there are not enough samples for one batch.
 */
export function configOf({ model, globalBatch, numWorkers, wire }: TrainJob, numTrainSamples: number): RunConfig {
  if (globalBatch > numTrainSamples) {
    throw new ConfigError(
      `a global batch of ${globalBatch}: there are ${numTrainSamples} samples: use at most as many`,
    );
  }
  const workers = numWorkers === 'baseline' ? 1 : numWorkers;
  const { learningRate } = DEFAULT_RECIPE;
  return {
    model,
    workers,
    epochs: 1,
    globalBatch,
    microbatches: workers,
    accumulate: 1,
    localSteps: 1,
    allReduce: 'star',
    shares: 'equal',
    seed: BENCH_SEED,
    optimizer: BENCH_OPTIMIZER,
    schedule: { name: 'constant', learningRate, warmupSteps: 0, decayEpochs: 1, decayFactor: 1 },
    trainSamples: numTrainSamples - (numTrainSamples % globalBatch),
    wire,
    // Bounds on hanging: the reference engine takes seconds a step, and a worker waits while others are measured.
    joinTimeoutSeconds: 120,
    stepTimeoutSeconds: 600,
  };
}
