/** What the runs of the library have in common: from flags and callbacks to the options of a run. */
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { createKubeflowProgress, kubeflowServerOf } from '../../coordinator/reporting/kubeflow.ts';
import { createMlflowSubscriber } from '../../coordinator/reporting/mlflow.ts';
import { createNotifier } from '../../coordinator/reporting/notify.ts';
import type { Reporter } from '../../coordinator/reporting/reporter.ts';
import { createTrace } from '../../coordinator/reporting/trace/trace.ts';
import { createTensorboard } from '../../coordinator/reporting/tensorboard/tensorboard.ts';
import type { RunOptions } from '../../coordinator/run-options.ts';
import type { RecordedRun } from '../../coordinator/run-directory/resume.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import { keepFreedMemory } from '../../worker/machine/memory.ts';
import { sharedMemorySystem } from '../../worker/machine/shared-memory.ts';
import { fastestVectorMath } from '../../worker/machine/vector-math.ts';
import { checkModelName } from '../flags/load-model.ts';
import { MLFLOW_VARIABLE, runConfigOf } from '../flags/run-flags.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import type { Workforce } from '../flags/worker-counts.ts';
import { reporterOf } from '../library/events.ts';
import type { RunCallbacks } from '../library/events.ts';
import { packageVersion, runOrigin } from '../process.ts';
import { holdOpen } from '../report/held-data.ts';
import type { HeldData } from '../report/held-data.ts';
import { createRunReport } from '../report/run-report.ts';
import { checkWorkers } from '../flags/resume.ts';

/** What a run is made of beside its flags. */
export interface RunSetting {
  /** They come from elsewhere. */
  readonly workforce: Workforce;
  readonly joinTimeoutSeconds: number;
  /** Samples in memory, in place of the dataset that the flags name. */
  readonly samples: DatasetSource | undefined;
  readonly isUnrecorded: boolean;
  /** The command line, for its record. */
  readonly command: string | undefined;
  readonly callbacks: RunCallbacks;
}

type SettledFlags = RunFlags & Partial<EngineFlags> & { resumed?: RecordedRun };

/**
 * Readies this process for a run, builds the native engine where that has not been done, and returns the options of one with these flags. Of a run that is resumed the
 * configuration is the recorded one.
 */
export async function runOptionsOf(
  flags: SettledFlags,
  setting: RunSetting,
): Promise<Omit<RunOptions, 'summonWorkers'>> {
  const { engine, device, threads, runDir, resumed, checkpointEvery, keepCheckpoints, recordSteps, tensorboard } =
    flags;
  const { callbacks, command, isUnrecorded, workforce } = setting;
  const warn = (line: string) => callbacks.logger?.warn?.(line);
  if (resumed) checkWorkers(resumed, workforce.numWorkers);
  const trace = traceOf(flags, isUnrecorded);
  const reporter = reporterOf(callbacks);
  const { signal } = callbacks;
  const { config, dataset } = await prepareNative({ log: reporter.line, warn, signal })
    .then(() => {
      keepFreedMemory();
      return configOf(flags, setting, reporter.line);
    })
    .finally(() => signal?.throwIfAborted())
    .catch((error: unknown) => {
      reporter.onRefused?.();
      throw error;
    });
  callbacks.onEvent?.({ kind: 'prepared' });
  const held = holdOpen(dataset);
  const recorded = { engine, device, threads, checkpointEvery, keepCheckpoints, recordSteps };
  return {
    config,
    origin: runOrigin({ ...recorded, ...(tensorboard === false && { tensorboard }) }, command),
    resumed,
    checkpointSettings: { every: checkpointEvery, keep: keepCheckpoints },
    recordSteps,
    trace,
    subscribers: subscribersOf(flags, { isUnrecorded, warn, data: held }),
    runDir,
    isUnrecorded,
    dataset: held.source,
    vectorMath: fastestVectorMath(),
    sharedMemory: flags.sharedMemory === false ? undefined : sharedMemorySystem(),
    reporter,
    warn,
    signal: signal ?? new AbortController().signal,
  };
}

interface SubscriberSetting {
  readonly isUnrecorded: boolean;
  readonly warn: (line: string) => void;
  readonly data: HeldData;
}

/** Who hears of the run besides its reporter. */
function subscribersOf(
  { notify, mlflow: uri, tensorboard, recordSteps, trace, report }: RunFlags,
  { isUnrecorded, warn, data }: SubscriberSetting,
): Reporter[] {
  const mlflow = uri !== undefined && isOtherStore(uri) ? undefined : uri;
  const kubeflow = kubeflowServerOf(process.env);
  return [
    ...(tensorboard === false || isUnrecorded ? [] : [createTensorboard({ recordSteps, warn })]),
    ...(trace === true ? [createTrace({ version: packageVersion(), warn })] : []),
    ...(report === false || isUnrecorded ? [] : [createRunReport({ data, warn })]),
    ...(notify === undefined ? [] : [createNotifier({ url: notify, warn })]),
    ...(kubeflow ? [createKubeflowProgress({ server: kubeflow, warn })] : []),
    ...(mlflow === undefined ? [] : [createMlflowSubscriber({ uri: mlflow, environment: process.env, warn })]),
  ];
}

/** The steps to trace, if any are. Throws `ConfigError` where the trace would be written nowhere. */
function traceOf({ trace, traceSteps }: RunFlags, isUnrecorded: boolean): RunOptions['trace'] {
  if (trace !== true) {
    if (traceSteps === undefined) return undefined;
    throw new ConfigError(`--trace-steps ${traceSteps}: expected --trace with it: add that, or leave both out`);
  }
  if (isUnrecorded) {
    throw new ConfigError(
      'trace: expected a run directory to write the trace to, got none: give runDir, or leave trace out',
    );
  }
  if (traceSteps === undefined) return {};
  const [firstStep, lastStep] = traceSteps.split('-').map(Number) as [number, number];
  return { steps: { firstStep, lastStep } };
}

/** MLflow's variable may name a folder or a database, which MLflow's own client writes to: that is no server. */
function isOtherStore(uri: string): boolean {
  return uri === process.env[MLFLOW_VARIABLE] && !/^https?:/i.test(uri);
}

/** What the run computes, and on what: of one that is resumed, what was recorded. */
async function configOf(
  flags: SettledFlags,
  { workforce, joinTimeoutSeconds, samples }: RunSetting,
  log: (line: string) => void,
): Promise<Pick<RunOptions, 'config' | 'dataset'>> {
  const { resumed, data, dataDir, resize, testFraction } = flags;
  if (!resumed && !flags.modelSpec) checkModelName(flags.model);
  const recorded = resumed?.config.dataset;
  const dataset = samples ?? (await findDataset({ data, dataDir, resize, testFraction, recorded, log }));
  const { numWorkers, maxWorkers } = workforce;
  const config = resumed
    ? {
        ...{ ...resumed.config, workers: numWorkers, joinTimeoutSeconds, stepTimeoutSeconds: flags.stepTimeout },
        ...(maxWorkers !== undefined && { maxWorkers }),
      }
    : runConfigOf(flags, { workforce, joinTimeoutSeconds, data: dataset });
  return { config, dataset };
}
