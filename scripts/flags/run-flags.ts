/** The flags that commands share: what each means, its default, its environment variable, and how it is checked. */
import { hostname } from 'node:os';
import type { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { ALL_REDUCES } from '../../coordinator/run-config.ts';
import type { AllReduceChoice } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { SHARES } from '../../coordinator/run-config.ts';
import type { SharesChoice } from '../../coordinator/run-config.ts';
import { isIdentity } from '../../protocol/data/augmentation.ts';
import type { Augmentation } from '../../protocol/data/augmentation.ts';
import { count, flag, fraction, index, notNegative, positive, seconds, upTo, whole } from './values.ts';
import { addImprovementFlags } from './improvements.ts';
import { addScheduleFlags } from './schedule.ts';
import { loadModel } from './load-model.ts';
import { DEFAULT_RECIPE, RECIPE_NAMES } from './recipe.ts';
import type { Recipe, RecipeName } from './recipe.ts';

export { flag, loadModel, count as parseCount, notNegative as parseNotNegative, positive as parsePositive };

/** What engines take. */
const MOST_THREADS = 1024;

/** The values of the flags of a run, as commander hands them over. */
export interface RunFlags extends Recipe {
  model: string;
  recipe: RecipeName;
  microbatches?: number;
  accumulate: number;
  localSteps: number;
  seed: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  clipNorm?: number;
  decayEpochs: number;
  decayFactor: number;
  validation?: number;
  trainSamples?: number;
  testSamples?: number;
  maxSteps?: number;
  stepTimeout: number;
  wire?: WireFormat;
  sharedMemory?: boolean;
  allReduce?: AllReduceChoice;
  shares?: SharesChoice;
  checkpointEvery?: number;
  keepCheckpoints: number;
  resume?: string;
  dataDir?: string;
  runDir?: string;
  quiet: boolean;
}

export interface EngineFlags {
  engine: string;
  device?: string;
  threads: number;
}

/** Adds what decides a run's outcome, and where its files are. */
export function addRunFlags(command: Command): Command {
  const { epochs, globalBatch, optimizer, learningRate, momentum, weightDecay } = DEFAULT_RECIPE;
  return addImprovementFlags(addScheduleFlags(command))
    .addOption(flag('--model <name>', `${MODEL_NAMES.join(', ')}, or a ModelSpec in FILE.json`).default('conv-pool'))
    .addOption(
      flag('--recipe <name>', 'homework: as the homework trained; best: what a search found. Flags that are given win')
        .choices(RECIPE_NAMES)
        .default('homework'),
    )
    .addOption(flag('--epochs <n>', 'passes over the training samples').argParser(count).default(epochs))
    .addOption(
      flag('--global-batch <n>', 'samples of a batch, all workers together').argParser(count).default(globalBatch),
    )
    .addOption(flag('--microbatches <n>', 'parts of a global batch; default: one for each worker').argParser(count))
    .addOption(
      flag('--accumulate <k>', 'global batches whose gradients are averaged into one update')
        .argParser(count)
        .default(1),
    )
    .addOption(
      flag('--local-steps <h>', 'steps that each microbatch takes by itself before states are averaged; 1: none')
        .argParser(count)
        .default(1),
    )
    .addOption(flag('--seed <n>', 'seed of the initial weights and the order of samples').argParser(whole).default(1))
    .addOption(flag('--optimizer <name>', 'the update rule').choices(['sgd', 'adam', 'adamw']).default(optimizer))
    .addOption(flag('--learning-rate <x>', 'learning rate').argParser(positive).default(learningRate))
    .addOption(flag('--momentum <x>', 'momentum of sgd').argParser(fraction).default(momentum))
    .addOption(flag('--nesterov', 'momentum that looks ahead').default(DEFAULT_RECIPE.nesterov))
    .addOption(
      flag('--weight-decay <x>', 'weight decay of every parameter').argParser(notNegative).default(weightDecay),
    )
    .addOption(flag('--beta1 <x>', "decay of adam's first moment").argParser(fraction).default(0.9))
    .addOption(flag('--beta2 <x>', "decay of adam's second moment").argParser(fraction).default(0.999))
    .addOption(flag('--epsilon <x>', "added to adam's divisor").argParser(positive).default(1e-8))
    .addOption(
      flag(
        '--clip-norm <x>',
        'the largest L2 norm of a gradient, longer ones are scaled down; default: no bound',
      ).argParser(positive),
    )
    .addOption(flag('--train-samples <n>', 'only the first n training samples').argParser(count))
    .addOption(flag('--test-samples <n>', 'only the first n test samples').argParser(count))
    .addOption(
      flag('--validation <n>', 'hold back the last n training samples and evaluate them, and no test sample').argParser(
        count,
      ),
    )
    .addOption(flag('--max-steps <n>', 'stop after n steps; 0 writes the initial model').argParser(index))
    .addOption(
      flag('--step-timeout <seconds>', "the longest wait for a worker's gradient").argParser(seconds).default(60),
    )
    .addOption(
      flag('--checkpoint-every <k>', "steps between checkpoints, besides that at each epoch's end").argParser(count),
    )
    .addOption(
      flag('--keep-checkpoints <n>', 'checkpoints kept, besides the best by accuracy').argParser(count).default(3),
    )
    .addOption(flag('--resume <folder>', 'continue the run recorded there, from its newest checkpoint'))
    .addOption(dataDirFlag())
    .addOption(flag('--run-dir <folder>', 'where the run is recorded; default: runs/<date>-<model>-<id>'))
    .addOption(flag('--quiet', 'print nothing but failures and what is out of the ordinary').default(false));
}

/** Adds what decides where gradients are computed. */
export function addEngineFlags(command: Command): Command {
  return command
    .addOption(
      flag('--engine <name>', 'auto: the fastest that this machine has; or one that `gradsock engines` lists').default(
        'auto',
      ),
    )
    .addOption(
      flag(
        '--device <name>',
        "one that `gradsock engines` lists; default: the engine's own; of several NVIDIA GPUs one by number " +
          '(cuda:1, tensorflow-gpu:1, or just 1), else in turn by $LOCAL_RANK, $SLURM_LOCALID or ' +
          '$OMPI_COMM_WORLD_LOCAL_RANK',
      ),
    )
    .addOption(flag('--threads <n>', 'threads of each worker').argParser(upTo(MOST_THREADS)).default(1));
}

export function wireFlag(): Option {
  const description = 'how gradients travel; f32 is exact, bf16 and f16 take half of the bytes, int8 a quarter';
  return flag('--wire <format>', description).choices(WIRE_FORMATS).default('f32');
}

export function sharedMemoryFlag(): Option {
  return flag('--no-shared-memory', 'send gradients through sockets to workers on this machine, too');
}

export function allReduceFlag(): Option {
  const description =
    'how gradients are averaged: star, at the coordinator; ring, by the workers among themselves; auto, by what there is';
  return flag('--all-reduce <name>', description).choices(ALL_REDUCES).default('auto');
}

export function sharesFlag(): Option {
  const description =
    'microbatches of each worker: equal numbers, by measured speed, or auto: by speed where that changes no bit';
  return flag('--shares <how>', description).choices(SHARES).default('auto');
}

export function dataDirFlag(): Option {
  return flag('--data-dir <folder>', 'where the Fashion-MNIST files are, if not in a usual place');
}

/** How a worker is called unless `--name` says otherwise. */
export function defaultWorkerName(): string {
  return `${hostname()}-${process.pid}`;
}

/** The configuration that flags and a number of workers make. Throws `ConfigError` for a model that is none. */
export function runConfigOf(flags: RunFlags, workers: number, joinTimeoutSeconds: number): RunConfig {
  const {
    learningRate,
    warmupSteps,
    decayEpochs,
    decayFactor,
    finalFactor,
    momentum,
    nesterov,
    weightDecay,
    beta1,
    beta2,
    epsilon,
  } = flags;
  const augmentation = augmentationOf(flags);
  if (nesterov && momentum === 0) throw new ConfigError('--nesterov needs --momentum above 0: 0.9 is common');
  if (decayFactor > 1) throw new ConfigError(`--decay-factor ${decayFactor}: expected at most 1`);
  return {
    model: loadModel(flags.model),
    workers,
    epochs: flags.epochs,
    globalBatch: flags.globalBatch,
    microbatches: flags.microbatches ?? workers,
    accumulate: flags.accumulate,
    localSteps: flags.localSteps,
    seed: flags.seed,
    optimizer: {
      ...{ name: flags.optimizer, momentum, nesterov, weightDecay, beta1, beta2, epsilon },
      ...(flags.clipNorm !== undefined && { clipNorm: flags.clipNorm }),
      ...(flags.emaDecay !== undefined && { emaDecay: flags.emaDecay, emaEvery: flags.emaEvery }),
    },
    schedule: {
      ...{ name: flags.schedule, learningRate, warmupSteps, decayEpochs, decayFactor },
      ...(finalFactor > 0 && { finalFactor }),
    },
    ...(flags.trainSamples !== undefined && { trainSamples: flags.trainSamples }),
    ...(flags.testSamples !== undefined && { testSamples: flags.testSamples }),
    ...(flags.validation !== undefined && { validationSamples: flags.validation }),
    ...(flags.labelSmoothing > 0 && { labelSmoothing: flags.labelSmoothing }),
    ...(!isIdentity(augmentation) && { augmentation }),
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    wire: flags.wire ?? 'f32',
    allReduce: flags.allReduce ?? 'auto',
    shares: flags.shares ?? 'auto',
    joinTimeoutSeconds,
    stepTimeoutSeconds: flags.stepTimeout,
  };
}

function augmentationOf(flags: Augmentation): Augmentation {
  const { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels } = flags;
  return { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels };
}
