/**
 * A run from beginning to end: data, run directory, workers, training, result. The commands differ only in where their
 * workers come from, which `summonWorkers` decides.
 */
import { describeError, ProtocolError } from '../protocol/errors.ts';
import { planModel } from '../protocol/state/model-spec.ts';
import { createReplica, sha256Of } from '../protocol/state/replica.ts';
import { obtainDataset } from './dataset/fetch.ts';
import { checkRunFolder } from './run-directory/earlier-start.ts';
import { openRun } from './run-directory/open-run.ts';
import { errorRecord, writeOutcome } from './run-directory/outcome.ts';
import { judgeLearning } from './reporting/learning.ts';
import type { RunResult } from './reporting/reporter.ts';
import { createRunCheckpoints } from './run-directory/run-checkpoints.ts';
import { checkRunConfig, lastStepOf } from './run-config.ts';
import type { RunOptions } from './run-options.ts';
import { checkRunSizes } from './run-sizes.ts';
import { selectSamples } from './dataset/select-samples.ts';
import { StorageError } from './run-directory/storage-error.ts';
import { trainWithWorkers } from './train-with-workers.ts';
import type { RunProgress } from './train-with-workers.ts';

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
