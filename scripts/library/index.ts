/**
 * gradsock as a library. What the commands do they do through these functions.
 *
 * A library: it writes nothing to the terminal, sets no exit code, and listens to no signal of the process.
 */
export { ConfigError, ProtocolError } from '../../protocol/errors.ts';
export { StorageError } from '../../coordinator/run-directory/storage-error.ts';
export { train } from './train.ts';
export { startCoordinator } from './coordinator.ts';
export { startWorker } from './worker.ts';
export { loadModel } from './load-model.ts';

export type { ModelSpec, LayerSpec } from '../../protocol/state/model-spec.ts';
export type { RunConfig } from '../../coordinator/run-config.ts';
export type { EpochRecord, Progress, RunResult } from '../../coordinator/reporting/reporter.ts';
export type { Assessment, ClassFigures, WrongSample } from '../inference/assessment.ts';
export type { Coordinator } from './coordinator.ts';
export type { Listening, Logger, RunCallbacks, RunEvent } from './events.ts';
export type { Evaluation, Model, Prediction } from './model.ts';
export type {
  CoordinatorOptions,
  EngineOptions,
  EvaluateOptions,
  ModelOptions,
  RunOptions,
  TrainOptions,
  WorkerOptions,
} from './options.ts';
export type { TrainedRun } from './trained-run.ts';
export type { DataInMemory, SamplesInMemory } from './samples.ts';
export type { Worker } from './worker.ts';
