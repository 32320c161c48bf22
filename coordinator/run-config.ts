/** RunConfig: everything that decides what a run computes. Written to `config.json`; enough to run it again. */
import { z } from 'zod';
import { ConfigError } from '../protocol/errors.ts';
import type { Dataset } from '../protocol/state/dataset.ts';
import { modelSpecSchema } from '../protocol/state/model-spec.ts';
import { optimizerConfigSchema } from '../protocol/state/optimizer.ts';
import { scheduleConfigSchema } from '../protocol/state/schedule.ts';
import { WIRE_FORMATS } from '../protocol/wire/encoding.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';

const count = z.int().min(1);

export const runConfigSchema = z.strictObject({
  model: modelSpecSchema,
  /** Workers that the run waits for; 1 for the baseline. */
  workers: count,
  epochs: count,
  globalBatch: count,
  /** Microbatches that a global batch is cut into. */
  microbatches: count,
  seed: z.int(),
  optimizer: optimizerConfigSchema,
  schedule: scheduleConfigSchema,
  /** Only the first this many samples of the files; all when absent. */
  trainSamples: count.optional(),
  testSamples: count.optional(),
  /** Stop after this many steps; 0 writes the initial model. */
  maxSteps: z.int().min(0).optional(),
  /** How gradients and averages travel. */
  wire: z.enum(WIRE_FORMATS),
  joinTimeoutSeconds: z.number().gt(0),
  stepTimeoutSeconds: z.number().gt(0),
});

export type RunConfig = Readonly<z.infer<typeof runConfigSchema>>;

/** Test samples that are evaluated at once: fixed, so that the sums do not depend on the workers. */
export const EVALUATION_BATCH = 256;

/** What every worker of a run is told of it when it joins. */
export function welcomeOf(
  config: RunConfig,
  runId: string,
  { train, test }: Dataset,
): Omit<MessageOf<'welcome'>, 'kind' | 'workerId' | 'dataset'> {
  const { model, seed, optimizer, globalBatch, microbatches, wire, joinTimeoutSeconds, stepTimeoutSeconds } = config;
  // The longest silence: others may still be joining, or be on the last of the test set's chunks.
  const evaluationSeconds = stepTimeoutSeconds * (1 + test.numSamples / EVALUATION_BATCH);
  return {
    runId,
    model,
    seed,
    optimizer,
    globalBatch,
    numMicrobatches: microbatches,
    evaluationBatch: EVALUATION_BATCH,
    wire,
    numTrainSamples: train.numSamples,
    numTestSamples: test.numSamples,
    patienceMs: Math.ceil(1000 * (joinTimeoutSeconds + evaluationSeconds)),
  };
}

/** Refuses numbers that cannot work together, by the flags that set them. */
export function checkRunConfig(config: RunConfig): void {
  const { globalBatch, microbatches, workers } = config;
  if (globalBatch < microbatches) {
    throw new ConfigError(
      `--global-batch ${globalBatch} cannot feed ${microbatches} microbatches: use ${microbatches} or more`,
    );
  }
  if (microbatches < workers) {
    throw new ConfigError(
      `--microbatches ${microbatches} cannot feed ${workers} workers: use ${workers} or more, or fewer --workers`,
    );
  }
}
