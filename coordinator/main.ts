/**
 * A run from beginning to end: data, run directory, workers, training, result. The commands differ only in where their
 * workers come from, which `summonWorkers` decides.
 */
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { holdSamples } from '../protocol/data/dataset.ts';
import type { CanonicalDataset } from '../protocol/data/canonical.ts';
import { FASHION_MNIST_SHA256 } from '../protocol/data/fashion-mnist.ts';
import { planModel } from '../protocol/state/model-spec.ts';
import { initialiseFrom } from '../protocol/state/initialise.ts';
import { createReplica } from '../protocol/state/replica.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { modelOf } from '../protocol/state/model-file.ts';
import { unlessAbandoned } from './abandonment.ts';
import { openModel } from './run-directory/open-model.ts';
import { identityOf } from './dataset/dataset-source.ts';
import type { DatasetSource } from './dataset/dataset-source.ts';
import { checkRunFolder } from './run-directory/earlier-start.ts';
import { openRun } from './run-directory/open-run.ts';
import { hasModel, resultOf, writeOutcome } from './run-directory/outcome.ts';
import { judgeLearning } from './reporting/learning.ts';
import { combineReporters } from './reporting/combine-reporters.ts';
import { createFirstFailure } from './reporting/first-failure.ts';
import type { FirstFailure } from './reporting/first-failure.ts';
import type { RunResult } from './reporting/reporter.ts';
import { createRunCheckpoints } from './run-directory/run-checkpoints.ts';
import { createStepRecords } from './run-directory/step-records.ts';
import { checkAgainstData, checkRunConfig, lastStepOf } from './run-config.ts';
import type { RunConfig } from './run-config.ts';
import type { RunOptions } from './run-options.ts';
import { checkRunSizes } from './run-sizes.ts';
import { selectSamples } from './dataset/select-samples.ts';
import { StorageError } from './run-directory/storage-error.ts';
import { trainWithWorkers } from './train-with-workers.ts';
import type { RunProgress } from './run-progress.ts';

/**
 * Carries out a run and leaves its directory behind, whatever happens: `result.json` says how it ended, and
 * `model.safetensors` holds the parameters of the last step that was applied.
 *
 * Returns the result, also of a run that failed. Rejects with the signal's reason where that is aborted before the data is
 * read. Throws `ConfigError` for what is wrong before there is a run, in this
 * order: the configuration, the data, what `prepare` finds, the run directory; nothing is left of it. A run that fails
 * before its first step leaves a directory that the same command may use again.
 */
export async function carryOutRun(options: RunOptions): Promise<RunResult> {
  const firstFailure = createFirstFailure(options.lastLinesOf);
  const reporter = combineReporters(options.reporter, [...(options.subscribers ?? []), firstFailure]);
  try {
    return await carryOut({ ...options, reporter, firstFailure });
  } catch (error) {
    reporter.onRefused?.();
    throw error;
  } finally {
    await reporter.close?.();
  }
}

async function carryOut(options: RunOptions & { readonly firstFailure: FirstFailure }): Promise<RunResult> {
  const { reporter, resumed, dataset: source } = options;
  if (resumed?.completed) {
    reporter.line(`${resumed.path}: the run is completed: nothing to resume`);
    return resumed.completed;
  }
  checkRunConfig(options.config);
  checkAgainstData(options.config, source);
  if (!resumed && !options.isUnrecorded) checkRunFolder(options.runDir ?? 'runs');
  const plan = planModel(options.config.model);
  checkRunSizes(options.config, plan, source.numTrainSamples);
  const data = await openData(source, options.signal);
  const config = withData(options, data);
  const samples = holdSamples(selectSamples({ ...data, name: source.name }, config), data.shape);
  const replica = createReplica(plan, config.optimizer, config.seed, options.vectorMath);
  const initial = beginFrom(options, replica);
  await options.prepare?.();
  const { directory, from, begunWith, startedAt } = await openRun({ ...options, config }, replica);
  try {
    if (from.step === 0) initial.confirm();
  } catch (error) {
    await directory.release();
    throw error;
  }

  const startMs = performance.now();
  const seconds = () => from.seconds + (performance.now() - startMs) / 1000;
  /** How long this process has waited for workers, or was paused; asked while it may still wait. */
  const waiting = { forFirstMs: 0, forAnyMs: () => 0 };
  const waitingSeconds = () => (from.waitingSeconds ?? 0) + (waiting.forFirstMs + waiting.forAnyMs()) / 1000;
  const { recordSteps = 0 } = options;
  const stepRecords = recordSteps > 0 ? createStepRecords({ every: recordSteps, directory }) : undefined;
  const checkpoints = createRunCheckpoints({
    config,
    settings: options.checkpointSettings,
    directory: {
      runId: directory.runId,
      checkpointFolder: directory.checkpointFolder,
      // A checkpoint may not be ahead of the records: a run that is resumed from it would never make them.
      async confirm() {
        await stepRecords?.flush();
        await directory.confirm();
      },
    },
    replica,
    from,
    seconds,
    waitingSeconds,
    say: reporter.line,
    onWritten: (step) => reporter.onEvent?.({ kind: 'saved', step }),
  });
  /** Of what is evaluated. */
  const progress: RunProgress = { epochs: from.epochsDone, testAccuracy: from.testAccuracy };
  const end = async (status: RunResult['status'], error?: unknown): Promise<RunResult> => {
    const judged = status === 'completed' && progress.last ? judgeLearning(progress.last, config) : undefined;
    const [allSeconds, idleSeconds] = [seconds(), waitingSeconds()];
    const ended = resultOf(status, {
      config,
      dataset: source.name,
      progress,
      point: checkpoints.point,
      replica,
      startedAt,
      seconds: allSeconds,
      waitingSeconds: idleSeconds,
      learned: judged?.learned,
      error,
    });
    const result = ended.error ? { ...ended, error: options.firstFailure.of(error, ended.error) } : ended;
    const atEnd = status === 'completed' && { epoch: progress.epochs, accuracy: progress.testAccuracy };
    const facts = { dataset: config.dataset, ...atEnd };
    const written = await writeOutcome(directory, { replica, facts }, result);
    directory.logger.info(written, `run ${written.status}`);
    if (judged?.warning !== undefined) {
      directory.logger.warn({}, judged.warning);
      options.warn(`warning: ${judged.warning}`);
    }
    if (hasModel(written)) options.onModel?.(modelOf(replica, facts));
    reporter.onEnd?.(written, directory.path);
    return written;
  };

  try {
    // An epoch whose evaluation was abandoned is evaluated now.
    const isAtEnd = replica.step >= lastStepOf(config, samples.train.numSamples) && !from.unfinished;
    const status = isAtEnd
      ? 'completed'
      : await trainWithWorkers({
          ...options,
          config,
          served: { ...data, name: source.name },
          samples,
          replica,
          directory,
          begunWith,
          checkpoints,
          stepRecords,
          progress,
          waiting,
        });
    await checkpoints.finish();
    return await end(status);
  } catch (error) {
    // What cannot be written changes nothing: the run has failed already.
    await checkpoints.finish().catch(() => {});
    await stepRecords?.flush().catch(() => {});
    if (options.signal.aborted && error === options.signal.reason) return await end('interrupted');
    directory.logger.error({ err: error }, describeError(error));
    const result = await end('failed', error);
    if (error instanceof ProtocolError || error instanceof StorageError) return result;
    throw error;
  } finally {
    data.bytes.close();
    await directory.release();
  }
}

/** Reads the data, which may take minutes. Rejects with the reason of `signal` as soon as that is aborted: nothing is made yet. */
async function openData(source: DatasetSource, signal: AbortSignal): Promise<CanonicalDataset> {
  const opened = source.open();
  try {
    return await unlessAbandoned(opened, signal);
  } catch (error) {
    void opened.then(
      (data) => data.bytes.close(),
      () => {},
    );
    throw error;
  }
}

/** The configuration with the data that was found; of a run that is resumed it must be the recorded one. */
function withData({ config, resumed, dataset: source }: RunOptions, data: CanonicalDataset): RunConfig {
  if (!resumed) return { ...config, dataset: identityOf(source, data) };
  const { dataset: recorded } = resumed.config;
  // Older records name none: there was one alone.
  const { name, sha256 } = recorded ?? { name: 'fashion-mnist', sha256: FASHION_MNIST_SHA256 };
  if (sha256 === data.sha256) return { ...config, ...(recorded && { dataset: recorded }) };
  throw new ConfigError(
    `--resume ${resumed.path}: expected the data that the run trains on, ${name} with sha256 ${sha256}, got ${source.source} ` +
      `with ${data.sha256}: name the same data by --data, or start another run`,
  );
}

/**
 * Gives the replica the numbers of the model that the run is to begin with, if there is one, and says what it took. Of a
 * run that is resumed that model may be gone: this matters only where the run has no checkpoint, which `confirm` tells.
 */
function beginFrom({ config, resumed, reporter }: RunOptions, replica: Replica): { confirm(): void } {
  const { initFrom } = config;
  if (!initFrom) return { confirm() {} };
  try {
    const model = openModel(initFrom.source);
    if (model.fileSha256 !== initFrom.sha256) {
      throw new ConfigError(
        `${initFrom.source}: expected the model that the run began with, with sha256 ${initFrom.sha256}, got ${model.fileSha256}`,
      );
    }
    const { taken, fresh } = initialiseFrom(replica, model);
    const rest = fresh.length === 0 ? '' : `; new: ${fresh.join(', ')}`;
    const trained = model.dataset ? `, trained on ${model.dataset.name}` : '';
    return {
      confirm: () =>
        reporter.line(
          `initialised from ${initFrom.source}${trained}: ${taken.length > 0 ? taken.join(', ') : 'nothing fits'}${rest}`,
        ),
    };
  } catch (error) {
    if (!resumed || !(error instanceof ConfigError)) throw error;
    return {
      confirm() {
        throw error;
      },
    };
  }
}
