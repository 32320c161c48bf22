/**
 * A run from beginning to end: data, run directory, workers, training, result. The commands differ only in where their
 * workers come from, which `summonWorkers` decides.
 */
import { setMaxListeners } from 'node:events';
import { describeError, ProtocolError } from '../protocol/errors.ts';
import type { Dataset, DatasetBytes } from '../protocol/data/dataset.ts';
import { createExchange } from '../protocol/state/exchange.ts';
import { planModel } from '../protocol/state/model-spec.ts';
import { createReplica, sha256Of } from '../protocol/state/replica.ts';
import type { Replica } from '../protocol/state/replica.ts';
import type { VectorMath } from '../protocol/vectors/vector-math.ts';
import type { SharedMemorySystem } from '../protocol/wire/shared-memory.ts';
import { establishAllReduce } from './all-reduce/establish.ts';
import { obtainDataset } from './dataset/fetch.ts';
import { checkRunFolder } from './run-directory/earlier-start.ts';
import { createFleet } from './members/fleet.ts';
import type { Fleet } from './members/fleet.ts';
import type { LockedRunDirectory } from './run-directory/locked-run-directory.ts';
import { memberLimitsOf } from './members/limits.ts';
import { createMembership } from './members/membership.ts';
import type { Membership } from './members/membership.ts';
import { openRun } from './run-directory/open-run.ts';
import type { OpenRunOptions } from './run-directory/open-run.ts';
import { errorRecord, writeOutcome } from './run-directory/outcome.ts';
import { judgeLearning } from './reporting/learning.ts';
import type { EpochRecord, RunResult } from './reporting/reporter.ts';
import type { RecordedRun } from './run-directory/resume.ts';
import { createRunCheckpoints } from './run-directory/run-checkpoints.ts';
import type { CheckpointSettings, RunCheckpoints } from './run-directory/run-checkpoints.ts';
import { checkRunConfig, lastStepOf, stepSizesOf, welcomeOf } from './run-config.ts';
import { checkRunSizes } from './run-sizes.ts';
import { createRunMemory } from './members/shared-memory.ts';
import { selectSamples } from './dataset/select-samples.ts';
import { synchronise } from './members/fleet.ts';
import { StorageError } from './run-directory/storage-error.ts';
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

export interface RunOptions extends OpenRunOptions {
  readonly checkpointSettings: CheckpointSettings;
  readonly dataDir?: string | undefined;
  /** For sums and updates on this side. */
  readonly vectorMath: VectorMath;
  /** For payloads to and from workers on this machine. Default: they are sent. */
  readonly sharedMemory?: SharedMemorySystem | undefined;
  /** What workers must prove to know. Default: nothing. Kept out of every file of the run directory. */
  readonly token?: string | undefined;
  /** Why its workers cannot average in a ring, if they cannot: the star is taken, with this reason. */
  readonly ringObstacle?: string | undefined;
  /**
   * Whether all workers are this program's own. Their source tells why one ended; a connection that was refused is then
   * told to the log alone.
   */
  readonly ownsWorkers?: boolean;
  /**
   * Makes sure of what the workers will need, such as an engine and a port, before anything of the run is made. What it
   * rejects with ends the program, and leaves nothing.
   */
  prepare?(): Promise<void>;
  summonWorkers(context: SummonContext): Promise<WorkerSource>;
}

/**
 * Carries out a run and leaves its directory behind, whatever happens: `result.json` says how it ended, and
 * `model.safetensors` holds the parameters of the last step that was applied.
 *
 * Returns the result, also of a run that failed. Throws `ConfigError` for what is wrong before there is a run, in this
 * order: the configuration, the data, what `prepare` finds, the run directory; nothing is left of it. A run that fails
 * before its first step leaves a directory that the same command may use again.
 */
export async function carryOutRun(options: RunOptions): Promise<RunResult> {
  const { config, reporter, resumed } = options;
  if (resumed?.completed) {
    reporter.line(`${resumed.path}: the run is completed: nothing to resume`);
    return resumed.completed;
  }
  checkRunConfig(config);
  if (!resumed) checkRunFolder(options.runDir ?? 'runs');
  const plan = planModel(config.model);
  checkRunSizes(config, plan);
  const bytes = await obtainDataset({ dataDir: options.dataDir, log: reporter.line });
  const dataset = selectSamples(bytes, config);
  const replica = createReplica(plan, config.optimizer, config.seed, options.vectorMath);
  await options.prepare?.();
  const { directory, from, begunWith } = await openRun(options, replica);

  const startMs = performance.now();
  const seconds = () => from.seconds + (performance.now() - startMs) / 1000;
  /** How long this process has waited for workers; asked while it may still wait. */
  const waiting = { forFirstMs: 0, forAnyMs: () => 0 };
  const waitingSeconds = () => (from.waitingSeconds ?? 0) + (waiting.forFirstMs + waiting.forAnyMs()) / 1000;
  const checkpoints = createRunCheckpoints({
    config,
    settings: options.checkpointSettings,
    directory,
    replica,
    from,
    seconds,
    waitingSeconds,
    say: reporter.line,
  });
  const isValidated = config.validationSamples !== undefined;
  /** Of what is evaluated. */
  const progress: RunProgress = { epochs: from.epochsDone, testAccuracy: from.testAccuracy };
  const end = async (status: RunResult['status'], error?: unknown): Promise<RunResult> => {
    const judged = status === 'completed' && progress.last ? judgeLearning(progress.last, config) : undefined;
    const [allSeconds, idleSeconds] = [seconds(), waitingSeconds()];
    const result: RunResult = {
      status,
      steps: replica.step,
      epochs: progress.epochs,
      testAccuracy: isValidated ? null : progress.testAccuracy,
      ...(isValidated && { validationAccuracy: progress.testAccuracy }),
      seconds: allSeconds,
      trainingSeconds: allSeconds - idleSeconds,
      waitingSeconds: idleSeconds,
      ...(judged && { learned: judged.learned }),
      parametersSha256: replica.parametersSha256(),
      ...(replica.averages && { averagedParametersSha256: sha256Of(replica.averages.parameters) }),
      ...(error === undefined ? {} : { error: errorRecord(error) }),
    };
    const written = await writeOutcome(directory, replica, result);
    directory.logger.info(written, `run ${written.status}`);
    if (judged?.warning !== undefined) {
      directory.logger.warn({}, judged.warning);
      options.warn(`warning: ${judged.warning}`);
    }
    reporter.onEnd?.(written, directory.path);
    return written;
  };

  try {
    const isAtEnd = replica.step >= lastStepOf(config, dataset.train.numSamples);
    const status = isAtEnd
      ? 'completed'
      : await trainWithWorkers({
          ...options,
          bytes,
          dataset,
          replica,
          directory,
          begunWith,
          checkpoints,
          progress,
          waiting,
        });
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

export interface RunParts extends RunOptions {
  readonly bytes: DatasetBytes;
  readonly dataset: Dataset;
  readonly replica: Replica;
  readonly directory: LockedRunDirectory;
  readonly begunWith: RecordedRun['begunWith'];
  readonly checkpoints: RunCheckpoints;
  readonly progress: RunProgress;
  readonly waiting: { forFirstMs: number; forAnyMs: () => number };
  /** Replaced by simulations, whose vectors are short and cut into many buckets all the same. */
  readonly establish?: typeof establishAllReduce;
}

/** What the result tells of the epochs. */
interface RunProgress {
  epochs: number;
  testAccuracy: number | null;
  /** The record of the last epoch that was trained here. */
  last?: EpochRecord;
}

/** Gathers the workers, trains, and lets them go. */
export async function trainWithWorkers(parts: RunParts): Promise<'completed' | 'interrupted'> {
  const { config, dataset, replica, directory, reporter, checkpoints, progress, waiting } = parts;
  const { establish = establishAllReduce } = parts;
  const failure = new AbortController();
  const signal = AbortSignal.any([parts.signal, failure.signal, directory.lost]);
  setMaxListeners(0, signal);
  /** Between steps: whether the run may go on. */
  const checkIn = () => {
    directory.renewIfDue();
    directory.lost.throwIfAborted();
    failure.signal.throwIfAborted();
  };
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
      if (level === 'warn' && !parts.ownsWorkers) reporter.line(line);
    },
    onReady: ({ name }, numReady) => {
      if (config.workers > 1) reporter.line(`${name} is ready, ${numReady} of ${config.workers}`);
      reporter.onPhase?.(waitingFor(numReady));
    },
  });
  const waitingFor = (numReady: number) =>
    `waiting for workers: ${numReady} of ${config.workers} ${numReady === 1 ? 'is' : 'are'} ready`;
  const onFailure = (error: Error) => failure.abort(error);
  reporter.onPhase?.(waitingFor(0));
  const waitStartMs = performance.now();
  const source = await parts.summonWorkers({ runDir: directory.path, membership, replica, dataset, onFailure });
  let reason = 'the run has failed';
  let fleet: Fleet | undefined;
  try {
    const members = await membership
      .waitForWorkers(config.workers, joinTimeoutMs, signal)
      .finally(() => (waiting.forFirstMs = performance.now() - waitStartMs));
    reporter.onPhase?.('sending the state to the workers');
    const say = (line: string) => {
      directory.logger.info({}, line);
      reporter.line(line);
    };
    const { microbatches: maxMembers } = stepSizesOf(config);
    const gathered = createFleet(members, { replica, stepTimeoutMs, waitMs: joinTimeoutMs, maxMembers, signal, say });
    fleet = gathered;
    waiting.forAnyMs = () => gathered.waitedMs;
    await synchronise(gathered, replica, stepTimeoutMs);
    reporter.onStart?.(config, members, directory.path);
    const { allocateAverage } = memory;
    const parties = { fleet: gathered, replica, exchange, allocateAverage };
    const { vectorMath, ringObstacle, begunWith } = parts;
    const how = { config, begunWith, vectorMath, ringObstacle, say };
    const { allReduce, kind } = await establish({ ...parties, ...how });
    if (!begunWith) await directory.recordAllReduce(kind);
    membership.passNewcomers((member) => gathered.join(member));
    const status = await train({
      config,
      numTrainSamples: dataset.train.numSamples,
      numEvaluationSamples: dataset.evaluation.numSamples,
      fleet: gathered,
      allReduce,
      replica,
      signal: parts.signal,
      carried: checkpoints.point.unfinished,
      onProgress: (step) => reporter.onProgress?.(step),
      onPhase: (doing) => reporter.onPhase?.(doing),
      onStep: async (step) => {
        await checkpoints.stepDone(step);
        checkIn();
      },
      onEpoch: async (record, unfinished) => {
        progress.epochs = record.epoch;
        progress.last = record;
        progress.testAccuracy = record.validationAccuracy ?? record.testAccuracy;
        await directory.appendEpoch(record);
        checkpoints.epochDone(record, unfinished);
        await directory.writeModel(replica);
        directory.logger.info(record, `epoch ${record.epoch}`);
        reporter.onEpoch?.(record);
        // After the last epoch it does not matter any more.
        if (record.epoch < config.epochs) checkIn();
      },
    });
    // Before workers are told that the run is over: if the coordinator ends while it writes, the resumed run needs them.
    await checkpoints.finish();
    reason = `the run is ${status}`;
    return status;
  } finally {
    fleet?.close();
    membership.dismiss(reason);
    await source.stop();
  }
}
