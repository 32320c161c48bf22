/** `--resume`: which flags may go with it, and where the others' values come from: the run's own record. */
import { basename, dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { canonical } from '../../coordinator/run-directory/checkpoint.ts';
import { readRecordedRun } from '../../coordinator/run-directory/resume.ts';
import type { RecordedRun } from '../../coordinator/run-directory/resume.ts';
import { FASHION_MNIST } from '../../coordinator/dataset/dataset-source.ts';
import type { DatasetIdentity } from '../../protocol/data/dataset.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { FASHION_MNIST_DATA } from './load-model.ts';
import { isModelName } from '../../protocol/state/models.ts';
import { loadModel } from './run-flags.ts';
import type { EngineFlags, RunFlags } from './run-flags.ts';
import { withRecipe } from './recipe.ts';
import type { WorkerCounts } from './worker-counts.ts';

type AnyFlags = RunFlags & Partial<EngineFlags & WorkerCounts>;

/** What the record of a run says for each flag that decides its outcome; undefined where it says nothing. */
function recordedValues({ config, engine }: RecordedRun): Partial<Record<keyof AnyFlags, unknown>> {
  const { name: optimizer, clipNorm = null, emaDecay = null, ...rule } = config.optimizer;
  const { name: schedule, finalFactor = 0, ...rates } = config.schedule;
  const { epochs, globalBatch, microbatches, accumulate, localSteps, seed, wire, allReduce, shares } = config;
  const sizes = { epochs, globalBatch, microbatches, accumulate, localSteps, seed, wire, allReduce, shares };
  const { trainSamples = null, testSamples = null, maxSteps = null, validationSamples = null } = config;
  const limits = { trainSamples, testSamples, maxSteps, validation: validationSamples };
  // Of a run that leaves images as they are: the numbers of pixels say nothing there.
  const none = { flipProbability: 0, shiftProbability: 0, eraseProbability: 0 };
  const { labelSmoothing = 0, augmentation = none } = config;
  const improvements = { labelSmoothing, ...augmentation, emaDecay };
  const where = engine && { ...engine, device: engine.device ?? null };
  return {
    model: config.model,
    ...sizes,
    ...limits,
    ...improvements,
    optimizer,
    clipNorm,
    ...rule,
    schedule,
    finalFactor,
    ...rates,
    ...where,
  };
}

/**
 * The flags of a command, and with `--resume` the run that they name: what was not given is then as the run has it.
 *
 * Throws `ConfigError` for what would change the run's outcome, naming all of it, and for `--resume` of no run.
 */
export function withResume<F extends AnyFlags>(given: F, command: Command): F & { resumed?: RecordedRun } {
  if (given.resume === undefined)
    return given.config === undefined ? withRecipe(given, command) : withConfig(given, command);
  if (given.config !== undefined)
    throw new ConfigError('--config with --resume: a run goes on with its own: leave one out');
  const recordedRun = readRecordedRun(given.resume);
  const isLonger = isGivenTo(command, 'epochs') && given.epochs > recordedRun.config.epochs;
  const run = isLonger ? withMoreEpochs(recordedRun, given.epochs) : recordedRun;
  const recorded = recordedValues(run);
  const isGiven = (name: string) => isGivenTo(command, name);
  // Without --model it is the run's: a recipe is then that of the run's model, too.
  const flags = withRecipe(given, command, isGiven('model') ? given.model : run.config.model.name);
  const conflicts = command.options.flatMap((option) => {
    const name = option.attributeName() as keyof AnyFlags;
    const has = recorded[name];
    if (!isGiven(name) || has === undefined) return [];
    const given = name === 'model' ? (flags.modelSpec ?? loadModel(flags.model, dataOf(run))) : flags[name];
    if (canonical(given) === canonical(has)) return [];
    return [`${option.long!} (given ${nameOf(given)}, the run has ${nameOf(has)})`];
  });
  if (conflicts.length > 0) {
    throw new ConfigError(
      `--resume ${run.path}: ${conflicts.join(', ')} would change what the run computes: leave it out, or start another run`,
    );
  }
  if (isGiven('runDir') && resolve(flags.runDir!) !== resolve(run.path)) {
    throw new ConfigError(`--run-dir ${flags.runDir!} with --resume ${run.path}: the run stays there: leave one out`);
  }
  const numWorkers = isGiven('workers') ? flags.workers : run.config.workers;
  const others = {
    ...(flags.workers !== undefined && { workers: numWorkers }),
    ...(!isGiven('maxWorkers') && run.config.maxWorkers !== undefined && { maxWorkers: run.config.maxWorkers }),
    ...run.engine,
    // The same data may be somewhere else now: whether it is the same is found when it is read.
    ...(!isGiven('data') && { data: dataOf(run).source }),
    ...(!isGiven('stepTimeout') && { stepTimeout: run.config.stepTimeoutSeconds }),
    ...(!isGiven('checkpointEvery') && { checkpointEvery: run.checkpointEvery }),
    ...(!isGiven('recordSteps') && { recordSteps: run.recordSteps }),
    ...(!isGiven('tensorboard') && { tensorboard: run.tensorboard }),
    ...(!isGiven('keepCheckpoints') && run.keepCheckpoints !== undefined && { keepCheckpoints: run.keepCheckpoints }),
  };
  return { ...flags, ...others, resumed: run };
}

/** Whether the command line or the environment says something about a flag. */
function isGivenTo(command: Command, name: string): boolean {
  return !['default', undefined].includes(command.getOptionValueSource(name));
}

/**
 * The run as one of more epochs: not completed, and its checkpoints of fewer epochs are its own. Throws `ConfigError` where
 * the schedule says by the number of epochs how fast the learning rate falls: the epochs so far would have been others.
 */
function withMoreEpochs(run: RecordedRun, epochs: number): RecordedRun {
  const { config, path } = run;
  if (config.schedule.name === 'cosine') {
    throw new ConfigError(
      `--resume ${path} --epochs ${epochs}: its cosine schedule ends after ${countOf(config.epochs, 'epoch')}, and with more of ` +
        `them every step before would have been another: start a new run from its model, with --init-from ${path}`,
    );
  }
  const earlierEpochs = [...(run.earlierEpochs ?? []), config.epochs];
  return { ...run, config: { ...config, epochs }, earlierEpochs, isLonger: true, completed: undefined };
}

/**
 * The flags of a command, where they say nothing with what `--config` recorded: the same run again, in a directory of its
 * own. Throws `ConfigError` for a file that is no run's configuration.
 */
function withConfig<F extends AnyFlags>(given: F, command: Command): F {
  const path = given.config!;
  const isFile = basename(path) === 'config.json';
  if (!isFile) throw new ConfigError(`--config ${path}: expected the config.json of a run directory`);
  const run = readRecordedRun(dirname(path), `--config ${path}`);
  const flags = withRecipe(given, command, isGivenTo(command, 'model') ? given.model : run.config.model.name);
  const { model, ...values } = recordedValues(run);
  const { name } = run.config.model;
  // A named model follows the data, which another flag may change.
  const isNamed = isModelName(name) && canonical(loadModel(name, dataOf(run))) === canonical(model);
  const recordedSpec = isNamed ? undefined : run.config.model;
  const modelSpec = isGivenTo(command, 'model') ? flags.modelSpec : recordedSpec;
  const recorded = Object.entries({
    ...values,
    model: name,
    workers: run.config.workers,
    maxWorkers: run.config.maxWorkers ?? null,
    data: dataOf(run).source,
    stepTimeout: run.config.stepTimeoutSeconds,
    initFrom: run.config.initFrom?.source ?? null,
  });
  const names = new Set(command.options.map((option) => option.attributeName()));
  const taken = recorded.filter(([name]) => names.has(name) && !isGivenTo(command, name));
  const others = Object.fromEntries(taken.map(([flagName, value]) => [flagName, value ?? undefined]));
  return { ...flags, ...others, modelSpec };
}

/** What a run trains on: Fashion-MNIST, where its record is of a version that knew nothing else. */
function dataOf({ config }: RecordedRun): Pick<DatasetIdentity, 'source' | 'shape' | 'classes'> {
  return config.dataset ?? { source: FASHION_MNIST, ...FASHION_MNIST_DATA };
}

/**
 * Another number of workers computes the same bits where each microbatch is summed as it was: in float32, by the star.
 * Throws `ConfigError` where it does not.
 */
export function checkWorkers({ path, config, begunWith }: RecordedRun, numWorkers: number): void {
  const { workers, wire, allReduce } = config;
  const isRing = (begunWith ?? allReduce) === 'ring';
  if (numWorkers === workers || (wire === 'f32' && !isRing)) return;
  const why = wire === 'f32' ? 'the ring' : `--wire ${wire}`;
  throw new ConfigError(
    `--resume ${path}: ${countOf(numWorkers, 'worker')}, but the run has ${workers}, and with ${why} another number would change ` +
      `what it computes: use ${workers}, or start another run`,
  );
}

/** How a value looks on a command line; a model is called by its name. */
function nameOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'name' in value) return nameOf(value.name);
  return typeof value === 'string' ? value : value === null ? 'none' : JSON.stringify(value);
}
