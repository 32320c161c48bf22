/**
 * A run from beginning to end: data, run directory, workers, training, result. The commands differ only in where their
 * workers come from, which `summonWorkers` decides.
 */
import { setMaxListeners } from 'node:events';
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { IMAGE_SHAPE, NUM_CLASSES } from '../protocol/state/dataset.ts';
import type { Dataset, DatasetBytes } from '../protocol/state/dataset.ts';
import { createExchange } from '../protocol/state/exchange.ts';
import { planModel } from '../protocol/state/model-spec.ts';
import type { ModelSpec } from '../protocol/state/model-spec.ts';
import { createReplica, sha256Of } from '../protocol/state/replica.ts';
import type { Replica } from '../protocol/state/replica.ts';
import type { VectorMath } from '../protocol/state/vector-math.ts';
import type { SharedMemorySystem } from '../protocol/wire/shared-memory.ts';
import { establishAllReduce } from './all-reduce/establish.ts';
import { obtainDataset } from './dataset-fetch.ts';
import { createFleet } from './fleet.ts';
import { memberLimitsOf } from './member-limits.ts';
import { createMembership } from './membership.ts';
import type { Membership } from './membership.ts';
import { openRun } from './open-run.ts';
import { errorRecord, writeOutcome } from './outcome.ts';
import type { Reporter, RunResult } from './reporters/reporter.ts';
import type { RecordedRun } from './resume.ts';
import { createRunCheckpoints } from './run-checkpoints.ts';
import type { CheckpointSettings, RunCheckpoints } from './run-checkpoints.ts';
import { checkRunConfig, lastStepOf, stepSizesOf, welcomeOf } from './run-config.ts';
import type { RunConfig } from './run-config.ts';
import { checkRunSizes } from './run-sizes.ts';
import type { RunDirectory } from './run-directory.ts';
import { createRunMemory } from './shared-memory.ts';
import { selectSamples } from './samples.ts';
import { synchronise } from './snapshot.ts';
import { StorageError } from './storage-error.ts';
import { train } from './trainer.ts';

/** What a source of workers may use. */
export interface SummonContext {
  /** The run's directory. */
  readonly runDir: string;
  readonly membership: Membership;
  readonly replica: Replica;
  readonly dataset: Dataset;
  /** Tells that a worker that was to come will not: the run ends with this error. */
  readonly onFailure: (error: Error) => void;
}

export interface WorkerSource {
  /** The run is over and the workers are dismissed: waits for them to be gone, and makes sure of it. */
  stop(): Promise<void>;
}

export interface RunOptions {
  readonly config: RunConfig;
  /** For `config.json`: versions and the command, beside the configuration. */
  readonly origin: object;
  readonly runDir?: string | undefined;
  /** The run to go on with: its directory, and the configuration that goes with it. */
  readonly resumed?: RecordedRun | undefined;
  readonly checkpointSettings: CheckpointSettings;
  readonly dataDir?: string | undefined;
  /** For sums and updates on this side. */
  readonly vectorMath: VectorMath;
  /** For payloads to and from workers on this machine; they are sent when left out. */
  readonly sharedMemory?: SharedMemorySystem | undefined;
  /** What workers must prove to know; nothing when left out. Kept out of every file of the run directory. */
  readonly token?: string | undefined;
  /** Why its workers cannot average in a ring, if they cannot: the star is taken, with this reason. */
  readonly ringObstacle?: string | undefined;
  /** Aborted by the user: the run ends after the step at hand. */
  readonly signal: AbortSignal;
  readonly reporter: Reporter & { readonly line: (text: string) => void };
  /** For what is out of the ordinary. */
  readonly warn: (line: string) => void;
  summonWorkers(context: SummonContext): Promise<WorkerSource>;
}

/**
 * Carries out a run and leaves its directory behind, whatever happens: `result.json` says how it ended, and
 * `model.safetensors` holds the parameters of the last step that was applied.
 *
 * Returns the result, also of a run that failed. Throws `ConfigError` for what is wrong before there is a run.
 */
export async function carryOutRun(options: RunOptions): Promise<RunResult> {
  const { config, reporter, resumed } = options;
  if (resumed?.completed) {
    reporter.line(`${resumed.path}: the run is completed: nothing to resume`);
    return resumed.completed;
  }
  checkRunConfig(config);
  checkInput(config.model);
  const plan = planModel(config.model);
  checkRunSizes(config, plan);
  const bytes = await obtainDataset({ dataDir: options.dataDir, log: reporter.line });
  const dataset = selectSamples(bytes, config);
  const replica = createReplica(plan, config.optimizer, config.seed, options.vectorMath);
  const { directory, from } = await openRun(options, replica);

  const startMs = performance.now();
  const seconds = () => from.seconds + (performance.now() - startMs) / 1000;
  const checkpoints = createRunCheckpoints({
    config,
    settings: options.checkpointSettings,
    directory,
    replica,
    from,
    seconds,
    say: reporter.line,
  });
  const isValidated = config.validationSamples !== undefined;
  /** Of what is evaluated. */
  const progress = { epochs: from.epochsDone, testAccuracy: from.testAccuracy };
  const end = async (status: RunResult['status'], error?: unknown): Promise<RunResult> => {
    const result: RunResult = {
      status,
      steps: replica.step,
      epochs: progress.epochs,
      testAccuracy: isValidated ? null : progress.testAccuracy,
      ...(isValidated && { validationAccuracy: progress.testAccuracy }),
      seconds: seconds(),
      parametersSha256: replica.parametersSha256(),
      ...(replica.averages && { averagedParametersSha256: sha256Of(replica.averages.parameters) }),
      ...(error === undefined ? {} : { error: errorRecord(error) }),
    };
    const written = await writeOutcome(directory, replica, result);
    directory.logger.info(written, `run ${written.status}`);
    reporter.onEnd?.(written, directory.path);
    return written;
  };

  try {
    const isAtEnd = replica.step >= lastStepOf(config, dataset.train.numSamples);
    const status = isAtEnd
      ? 'completed'
      : await trainWithWorkers({ ...options, bytes, dataset, replica, directory, checkpoints, progress });
    await checkpoints.finish();
    return await end(status);
  } catch (error) {
    // One that cannot be written changes nothing: the run has failed already.
    await checkpoints.finish().catch(() => {});
    if (options.signal.aborted && error === options.signal.reason) return await end('interrupted');
    directory.logger.error({ err: error }, describeError(error));
    const result = await end('failed', error);
    if (error instanceof ProtocolError || error instanceof StorageError) return result;
    throw error;
  } finally {
    await directory.release();
  }
}

interface RunParts extends RunOptions {
  readonly bytes: DatasetBytes;
  readonly dataset: Dataset;
  readonly replica: Replica;
  readonly directory: RunDirectory;
  readonly checkpoints: RunCheckpoints;
  readonly progress: { epochs: number; testAccuracy: number | null };
}

/** Gathers the workers, trains, and lets them go. */
async function trainWithWorkers(parts: RunParts): Promise<'completed' | 'interrupted'> {
  const { config, dataset, replica, directory, reporter, checkpoints, progress } = parts;
  const failure = new AbortController();
  const signal = AbortSignal.any([parts.signal, failure.signal]);
  setMaxListeners(0, signal);
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const joinTimeoutMs = config.joinTimeoutSeconds * 1000;

  const exchange = createExchange(replica, config.localSteps, config.microbatches);
  const memory = createRunMemory(config, exchange.layout, parts.sharedMemory, (line) => directory.logger.warn(line));
  const membership = createMembership({
    memory,
    token: parts.token,
    limits: memberLimitsOf(config, exchange.layout, replica.state, parts.bytes),
    welcome: welcomeOf(config, directory.runId, dataset),
    datasetBytes: parts.bytes,
    log: (level, line, fields) => {
      directory.logger[level](fields ?? {}, line);
      if (level === 'warn') reporter.line(line);
    },
    onReady: ({ name }, numReady) => {
      if (config.workers > 1) reporter.line(`${name} is ready, ${numReady} of ${config.workers}`);
    },
  });
  const onFailure = (error: Error) => failure.abort(error);
  const source = await parts.summonWorkers({ runDir: directory.path, membership, replica, dataset, onFailure });
  let reason = 'the run has failed';
  try {
    const members = await membership.waitForWorkers(config.workers, joinTimeoutMs, signal);
    const say = (line: string) => {
      directory.logger.info({}, line);
      reporter.line(line);
    };
    const { microbatches: maxMembers } = stepSizesOf(config);
    const fleet = createFleet(members, { replica, stepTimeoutMs, waitMs: joinTimeoutMs, maxMembers, signal, say });
    await synchronise(fleet, replica, stepTimeoutMs);
    reporter.onStart?.(config, members, directory.path);
    const { allocateAverage } = memory;
    const parties = { fleet, replica, exchange, allocateAverage };
    const { vectorMath, ringObstacle } = parts;
    const begunWith = parts.resumed?.begunWith;
    const how = { config, begunWith, vectorMath, ringObstacle, say };
    const { allReduce, kind } = await establishAllReduce({ ...parties, ...how });
    if (!begunWith) await directory.recordAllReduce(kind);
    membership.passNewcomers((member) => fleet.join(member));
    const status = await train({
      config,
      numTrainSamples: dataset.train.numSamples,
      numEvaluationSamples: dataset.evaluation.numSamples,
      fleet,
      allReduce,
      replica,
      signal: parts.signal,
      carried: checkpoints.point.unfinished,
      onProgress: (step) => reporter.onProgress?.(step),
      onStep: (step) => checkpoints.stepDone(step),
      onEpoch: async (record, unfinished) => {
        progress.epochs = record.epoch;
        progress.testAccuracy = record.validationAccuracy ?? record.testAccuracy;
        await directory.appendEpoch(record);
        checkpoints.epochDone(record, unfinished);
        await directory.writeModel(replica);
        directory.logger.info(record, `epoch ${record.epoch}`);
        reporter.onEpoch?.(record);
      },
    });
    reason = `the run is ${status}`;
    return status;
  } finally {
    membership.dismiss(reason);
    await source.stop();
  }
}

function checkInput({ name, input, numClasses }: ModelSpec): void {
  if (input.join() !== IMAGE_SHAPE.join() || numClasses !== NUM_CLASSES) {
    throw new ConfigError(
      `model ${name}: input [${input.join(', ')}] and ${numClasses} classes, but Fashion-MNIST has ` +
        `[${IMAGE_SHAPE.join(', ')}] and ${NUM_CLASSES}`,
    );
  }
}
