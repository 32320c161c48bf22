/** RunConfig: everything that decides what a run computes. Written to `config.json`; enough to run it again. */
import { z } from 'zod';
import { countOf } from '../protocol/counts.ts';
import { ConfigError } from '../protocol/errors.ts';
import type { Dataset, DatasetIdentity } from '../protocol/data/dataset.ts';
import { augmentationSchema } from '../protocol/data/augmentation.ts';
import { modelSpecSchema } from '../protocol/state/model-spec.ts';
import { optimizerConfigSchema } from '../protocol/vectors/optimizer.ts';
import { scheduleConfigSchema } from '../protocol/state/schedule.ts';
import { stepsPerEpoch } from '../protocol/data/sharding.ts';
import { WIRE_FORMATS } from '../protocol/vectors/encoding.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';

export const ALL_REDUCES = ['auto', 'star', 'ring'] as const;
export type AllReduceChoice = (typeof ALL_REDUCES)[number];
/** What a run can have. */
export type AllReduceKind = Exclude<AllReduceChoice, 'auto'>;

export const SHARES = ['auto', 'equal', 'speed'] as const;
export type SharesChoice = (typeof SHARES)[number];

const count = z.int().min(1);

const datasetIdentitySchema = z.strictObject({
  name: z.string(),
  source: z.string(),
  /** [channels, height, width] of an image. */
  shape: z.tuple([count, count, count]).readonly(),
  classes: z.array(z.string()).min(1).readonly(),
  /** Of the canonical form, see `canonical.ts`. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const runConfigSchema = z.strictObject({
  model: modelSpecSchema,
  /** What it trains on. Absent in records of versions that knew Fashion-MNIST alone, and before the data is read. */
  dataset: datasetIdentitySchema.optional(),
  /** Workers that the run waits for; 1 for the baseline. */
  workers: count,
  /** The most workers that compute at the same time. Absent: as many as a step has microbatches. */
  maxWorkers: count.optional(),
  epochs: count,
  globalBatch: count,
  /** Microbatches that a global batch is cut into. */
  microbatches: count,
  /** Global batches whose gradients are averaged into one update. */
  accumulate: count,
  /** Steps that every worker takes by itself between averages of the whole state; 1 averages gradients. */
  localSteps: count,
  seed: z.int(),
  optimizer: optimizerConfigSchema,
  schedule: scheduleConfigSchema,
  /** Only the first this many samples of the dataset; all when absent. */
  trainSamples: count.optional(),
  testSamples: count.optional(),
  /** The last this many training samples are held back and evaluated; the test samples are not evaluated. */
  validationSamples: count.optional(),
  /** See `EngineOptions.labelSmoothing`. */
  labelSmoothing: z.number().min(0).lt(1).optional(),
  /** What is done to training images; nothing when absent. */
  augmentation: augmentationSchema.optional(),
  /** The model whose numbers it began with, as far as they fit: its file, and that one's sha256. Absent for random ones. */
  initFrom: z.strictObject({ source: z.string(), sha256: z.string() }).optional(),
  /** Stop after this many steps; 0 writes the initial model. */
  maxSteps: z.int().min(0).optional(),
  /** How gradients and averages travel. */
  wire: z.enum(WIRE_FORMATS),
  /** How they become an average; `auto` decides by the workers and the model, see `all-reduce/choose.ts`. */
  allReduce: z.enum(ALL_REDUCES),
  /** How microbatches are shared out; `auto` goes by speed where the outcome does not depend on it. */
  shares: z.enum(SHARES).default('auto'),
  joinTimeoutSeconds: z.number().gt(0),
  stepTimeoutSeconds: z.number().gt(0),
});

export type RunConfig = Readonly<z.infer<typeof runConfigSchema>>;

/** Test samples that are evaluated at once: fixed, so that the sums do not depend on the workers. */
export const EVALUATION_BATCH = 256;

/**
 * The most that the header of a message has room for (`LIMITS.maxHeaderBytes`): an assignment's rates take 68 bytes a
 * local step, and a gradient's counts at most 51 bytes a microbatch; a few hundred bytes are left for the rest.
 */
const MAX_LOCAL_STEPS = 900;
const MAX_MICROBATCHES_OF_WORKER = 1250;

/** What one averaged step consists of: with `accumulate`, several global batches with all their microbatches. */
export function stepSizesOf(
  config: Pick<RunConfig, 'globalBatch' | 'microbatches' | 'accumulate' | 'localSteps'>,
): Pick<RunConfig, 'globalBatch' | 'microbatches' | 'localSteps'> {
  const { globalBatch, microbatches, accumulate, localSteps } = config;
  return { globalBatch: accumulate * globalBatch, microbatches: accumulate * microbatches, localSteps };
}

/** The number of the run's last step. */
export function lastStepOf(config: RunConfig, numTrainSamples: number): number {
  const totalSteps = config.epochs * stepsPerEpoch(numTrainSamples, stepSizesOf(config).globalBatch);
  return Math.min(totalSteps, config.maxSteps ?? totalSteps);
}

/** What every worker of a run is told of it when it joins. */
export function welcomeOf(
  config: RunConfig,
  runId: string,
  { train, evaluation }: Dataset,
): Omit<MessageOf<'welcome'>, 'kind' | 'workerId' | 'returnKey' | 'dataset'> {
  const { model, seed, optimizer, wire, joinTimeoutSeconds, stepTimeoutSeconds } = config;
  const { labelSmoothing, augmentation, validationSamples } = config;
  const { globalBatch, microbatches, localSteps } = stepSizesOf(config);
  // The longest silence: others may still be joining, or be on the last of the evaluation's chunks.
  const evaluationSeconds = stepTimeoutSeconds * (1 + evaluation.numSamples / EVALUATION_BATCH);
  return {
    runId,
    model,
    seed,
    optimizer,
    globalBatch,
    numMicrobatches: microbatches,
    ...(localSteps > 1 && { localSteps }),
    evaluationBatch: EVALUATION_BATCH,
    wire,
    numTrainSamples: train.numSamples,
    ...(validationSamples === undefined
      ? { numTestSamples: evaluation.numSamples }
      : { numTestSamples: 0, numValidationSamples: evaluation.numSamples }),
    ...(labelSmoothing !== undefined && { labelSmoothing }),
    ...(augmentation && { augmentation }),
    patienceMs: Math.ceil(1000 * (joinTimeoutSeconds + evaluationSeconds)),
  };
}

/** Refuses numbers that cannot work together, by the flags that set them. */
export function checkRunConfig(config: RunConfig): void {
  const { globalBatch, microbatches, accumulate, localSteps, workers, maxWorkers, optimizer, wire } = config;
  if (globalBatch < microbatches) {
    throw new ConfigError(
      `--global-batch ${globalBatch} cannot feed ${countOf(microbatches, 'microbatch', 'microbatches')}: use ${microbatches} or more`,
    );
  }
  const step = stepSizesOf(config);
  const flags = `--microbatches ${microbatches}${accumulate > 1 ? ` with --accumulate ${accumulate}` : ''}`;
  if (step.microbatches < workers) {
    const enough = Math.ceil(workers / accumulate);
    throw new ConfigError(
      `${flags} cannot feed ${countOf(workers, 'worker')}: use ${enough} or more, or fewer --workers`,
    );
  }
  if (maxWorkers !== undefined && maxWorkers > step.microbatches) {
    const enough = Math.ceil(maxWorkers / accumulate);
    throw new ConfigError(
      `--max-workers ${maxWorkers}: ${flags} can feed ${step.microbatches}: use --microbatches ${enough} or more, or a smaller --max-workers`,
    );
  }
  const numOfWorker = Math.ceil(step.microbatches / workers);
  if (numOfWorker > MAX_MICROBATCHES_OF_WORKER) {
    throw new ConfigError(
      `${flags} gives a worker ${countOf(numOfWorker, 'microbatch', 'microbatches')} a step, expected at most ${MAX_MICROBATCHES_OF_WORKER}: ` +
        `use fewer of them, or more --workers`,
    );
  }
  if (!Number.isSafeInteger(step.globalBatch)) {
    throw new ConfigError(
      `--accumulate ${accumulate} x --global-batch ${countOf(globalBatch, 'sample')}: use smaller numbers`,
    );
  }
  if (localSteps === 1) return;
  if (accumulate > 1) {
    throw new ConfigError(
      `--local-steps ${localSteps} with --accumulate ${accumulate}: expected one of them at most above 1; leave one out`,
    );
  }
  if (localSteps > MAX_LOCAL_STEPS) {
    throw new ConfigError(`--local-steps ${localSteps}: expected at most ${MAX_LOCAL_STEPS}`);
  }
  // Second moments are small and lie far apart: these formats would send most of their changes as 0.
  if (optimizer.name !== 'sgd' && (wire === 'f16' || wire === 'int8')) {
    throw new ConfigError(
      `--wire ${wire} with --local-steps ${localSteps} cannot carry the second moments of --optimizer ` +
        `${optimizer.name}: use --wire bf16 or f32, or --optimizer sgd`,
    );
  }
}

/** Refuses a model, and changes of images, that do not fit the data. */
export function checkAgainstData(
  { model, augmentation }: Pick<RunConfig, 'model' | 'augmentation'>,
  { name, shape, classes }: Pick<DatasetIdentity, 'name' | 'shape' | 'classes'>,
): void {
  const { input, numClasses } = model;
  if (input.join() !== shape.join() || numClasses !== classes.length) {
    throw new ConfigError(
      `model ${model.name}: input [${input.join(', ')}] and ${countOf(numClasses, 'class', 'classes')}, but ${name} has ` +
        `[${shape.join(', ')}] and ${classes.length}`,
    );
  }
  if (!augmentation) return;
  const shortest = Math.min(shape[1], shape[2]);
  const check = (flag: string, given: number, most: number) => {
    if (given <= most) return;
    throw new ConfigError(`${flag} ${given}: expected at most ${most}, for images of ${shape[1]}x${shape[2]} pixels`);
  };
  if (augmentation.shiftProbability > 0) check('--shift-pixels', augmentation.shiftPixels, shortest - 1);
  if (augmentation.eraseProbability > 0) check('--erase-pixels', augmentation.erasePixels, shortest);
}
