/** The flags that commands share: what each means, its default, its environment variable, and how it is checked. */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Command, Option } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { MODEL_NAMES } from '../../protocol/state/models.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import type { AllReduceChoice, RunConfig, SharesChoice } from '../../coordinator/run-config.ts';
import { isIdentity } from '../../protocol/data/augmentation.ts';
import type { Augmentation } from '../../protocol/data/augmentation.ts';
import { count, flag, index, notNegative, positive, seconds, secondsOrNone, steps, upTo } from './values.ts';
import { dataDirFlag, dataFlags } from './data.ts';
import { microbatchFlags } from './distribution.ts';
import { inGroup } from './groups.ts';
import type { ImageSize } from '../../coordinator/dataset/readers/reader.ts';
import { loadModel } from './load-model.ts';
import type { ModelData } from './load-model.ts';
import { trainingFlags } from './training.ts';
import type { Workforce } from './worker-counts.ts';
import { RECIPE_NAMES } from './recipe.ts';
import type { Recipe, RecipeName } from './recipe.ts';

export {
  dataDirFlag,
  flag,
  loadModel,
  count as parseCount,
  notNegative as parseNotNegative,
  positive as parsePositive,
};

/** MLflow's own. */
export const MLFLOW_VARIABLE = 'MLFLOW_TRACKING_URI';

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
  recordSteps?: number;
  tensorboard?: boolean;
  trace?: boolean;
  /** `A-B` */
  traceSteps?: string;
  report?: boolean;
  resume?: string;
  data: string;
  dataDir?: string;
  resize?: ImageSize;
  testFraction?: number;
  runDir?: string;
  notify?: string;
  mlflow?: string;
  quiet: boolean;
  json: boolean;
  progressInterval: number;
  initFrom?: string;
  config?: string;
  /** By `--config`, or from a caller of the library: the model itself, in place of the one that `model` names. */
  modelSpec?: ModelSpec;
}

export interface EngineFlags {
  engine: string;
  device?: string;
  threads: number;
}

/**
 * Adds what decides a run's outcome, and where its files are.
 *
 * `distribution`, `joining`: flags of this command alone, which come first in their groups.
 */
export function addRunFlags(
  command: Command,
  { distribution = [], joining = [] }: { distribution?: readonly Option[]; joining?: readonly Option[] } = {},
): Command {
  return addFlags(command, [
    ...inGroup('model', modelFlags()),
    ...inGroup('training', trainingFlags()),
    ...inGroup('data', dataFlags()),
    ...inGroup('distribution', [...distribution, ...microbatchFlags()]),
    ...inGroup('joining', joining),
    ...inGroup('faults', faultFlags()),
    ...inGroup('files', fileFlags()),
  ]);
}

export function addFlags(command: Command, flags: readonly Option[]): Command {
  for (const option of flags) command.addOption(option);
  return command;
}

function modelFlags(): readonly Option[] {
  return [
    flag('--model <name>', `model: ${MODEL_NAMES.join(', ')}, or a ModelSpec in FILE.json`).default('conv-pool'),
    flag(
      '--recipe <name>',
      'set of defaults. homework: as in the homework; best: the best that a search found. A flag that is given overrides it',
    )
      .choices(RECIPE_NAMES)
      .default('homework'),
    flag(
      '--init-from <model>',
      'run directory or model file to begin with: tensors of the same name and shape are taken',
    ),
  ];
}

function faultFlags(): readonly Option[] {
  return [
    flag(
      '--resume <folder>',
      'continue the run in this run directory from its newest checkpoint; with --epochs, longer',
    ),
    flag('--step-timeout <seconds>', "longest wait for a worker's gradient").argParser(seconds).default(60),
    flag('--checkpoint-every <k>', 'steps between checkpoints. Default: only at the end of each epoch').argParser(
      count,
    ),
    flag('--keep-checkpoints <n>', 'checkpoints to keep, besides the most accurate').argParser(count).default(3),
  ];
}

function fileFlags(): readonly Option[] {
  return [
    flag('--config <file>', 'config.json of a run to carry out again; other flags override what it says'),
    flag('--run-dir <folder>', 'folder in which the run is recorded. Default: runs/<date>-<model>-<id>'),
    flag(
      '--record-steps [k]',
      'record every k-th step in steps.jsonl and for TensorBoard, without a value every step. Default: none',
    )
      .argParser(index)
      .preset('1'),
    flag(
      '--trace',
      'write trace.json.gz to the run directory: when each worker did what in the first 200 steps, for Perfetto',
    ),
    flag('--trace-steps <a-b>', 'steps to trace, with --trace. Default: the first 200 that are taken').argParser(steps),
    flag('--no-tensorboard', 'write no event files for TensorBoard to the run directory'),
    flag('--no-report', 'write no report.html and no curves to the run directory when the run ends'),
    flag(
      '--notify <url>',
      'where to post when the run begins, ends, fails or has no worker left: a topic of ntfy, or a webhook of Slack',
    ),
    flag('--mlflow <url>', 'MLflow tracking server that is sent parameters, figures and the end of the run').env(
      MLFLOW_VARIABLE,
    ),
    flag('--quiet', 'print only failures and warnings').default(false),
    flag('--json', 'print records as JSON lines on standard output, and all else on standard error').default(false),
    flag(
      '--progress-interval <seconds>',
      'longest time without a progress line where output goes to a file or pipe; 0: no progress lines',
    )
      .argParser(secondsOrNone)
      .default(30),
  ];
}

/** Adds what decides where gradients are computed. */
export function addEngineFlags(command: Command): Command {
  const flags = [
    flag('--engine <name>', 'engine: auto takes the fastest on this machine; `gradsock engines` lists all').default(
      'auto',
    ),
    flag(
      '--device <name>',
      'device, as `gradsock engines` lists them. With several NVIDIA GPUs: cuda:1, tensorflow-gpu:1 or just 1. ' +
        "Default: the engine's own; GPUs in turn, by $LOCAL_RANK, $SLURM_LOCALID or $OMPI_COMM_WORLD_LOCAL_RANK",
    ),
    flag('--threads <n>', 'threads per worker').argParser(upTo(MOST_THREADS)).default(1),
  ];
  return addFlags(command, inGroup('engine', flags));
}

/** How a worker is called unless `--name` says otherwise. */
export function defaultWorkerName(): string {
  return `${hostname()}-${process.pid}`;
}

/** What a run is made for beside its flags. */
export interface RunPlace {
  readonly workforce: Workforce;
  readonly joinTimeoutSeconds: number;
  readonly data: ModelData;
}

/** The configuration that flags make. Throws `ConfigError` for a model that is none. */
export function runConfigOf(flags: RunFlags, { workforce, joinTimeoutSeconds, data }: RunPlace): RunConfig {
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
  const { numWorkers, maxWorkers, defaultMicrobatches } = workforce;
  const augmentation = augmentationOf(flags);
  if (nesterov && momentum === 0) throw new ConfigError('--nesterov needs --momentum above 0: 0.9 is common');
  if (decayFactor > 1) throw new ConfigError(`--decay-factor ${decayFactor}: expected at most 1`);
  return {
    model: flags.modelSpec ?? loadModel(flags.model, data),
    workers: numWorkers,
    ...(maxWorkers !== undefined && { maxWorkers }),
    epochs: flags.epochs,
    globalBatch: flags.globalBatch,
    microbatches: flags.microbatches ?? defaultMicrobatches,
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
    ...(flags.initFrom !== undefined && { initFrom: initialModel(flags.initFrom) }),
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    wire: flags.wire ?? 'f32',
    allReduce: flags.allReduce ?? 'auto',
    shares: flags.shares ?? 'auto',
    joinTimeoutSeconds,
    stepTimeoutSeconds: flags.stepTimeout,
  };
}

/** The file, and its sum, of the model that a run is to begin with. */
function initialModel(source: string): NonNullable<RunConfig['initFrom']> {
  const { path, fileSha256 } = openModel(source);
  return { source: resolve(path), sha256: fileSha256 };
}

function augmentationOf(flags: Augmentation): Augmentation {
  const { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels } = flags;
  return { flipProbability, shiftProbability, shiftPixels, eraseProbability, erasePixels };
}
