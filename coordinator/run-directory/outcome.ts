/** The outcome of a run, as it is left in its directory: the model, and a result that says how it ended. */
import { ConfigError, describeError, ProtocolError } from '../../protocol/errors.ts';
import type { RunConfig } from '../run-config.ts';
import type { RunProgress } from '../run-progress.ts';
import type { RunPoint } from './checkpoint.ts';
import type { ModelFacts } from '../../protocol/state/model-file.ts';
import { sha256Of } from '../../protocol/state/replica.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { RunResult } from '../reporting/reporter.ts';
import type { RunRecord } from './run-directory.ts';
import { StorageError } from './storage-error.ts';

/** What a result is made of. */
export interface ResultParts {
  readonly config: RunConfig;
  /** The name of the data. */
  readonly dataset: string;
  readonly progress: RunProgress;
  /** Where the run stands by its checkpoints. */
  readonly point: RunPoint;
  readonly replica: Replica;
  /** In ISO 8601; undefined of a run that an older version began. */
  readonly startedAt: string | undefined;
  /** Of the run so far, over all processes; and of those, waiting for workers or paused. */
  readonly seconds: number;
  readonly waitingSeconds: number;
  readonly learned: boolean | undefined;
  /** What ended a run that failed. */
  readonly error: unknown;
}

/** What `result.json` says of a run that ends now. */
export function resultOf(status: RunResult['status'], parts: ResultParts): RunResult {
  const { config, progress, point, replica, startedAt, seconds, waitingSeconds, learned, error } = parts;
  const { last, testAccuracy } = progress;
  const { bestEpoch, bestTestAccuracy } = point;
  const isValidated = config.validationSamples !== undefined;
  return {
    status,
    model: config.model.name,
    dataset: parts.dataset,
    steps: replica.step,
    epochs: progress.epochs,
    testAccuracy: isValidated ? null : testAccuracy,
    ...(isValidated && { validationAccuracy: testAccuracy }),
    ...(bestEpoch !== undefined && bestTestAccuracy !== null && { bestEpoch, bestAccuracy: bestTestAccuracy }),
    ...(last && {
      loss: last.loss,
      trainAccuracy: last.trainAccuracy,
      evaluationLoss: last.validationLoss ?? last.testLoss,
    }),
    ...(startedAt !== undefined && { startedAt }),
    endedAt: new Date().toISOString(),
    seconds,
    trainingSeconds: seconds - waitingSeconds,
    waitingSeconds,
    ...(learned !== undefined && { learned }),
    parametersSha256: replica.parametersSha256(),
    ...(replica.averages && { averagedParametersSha256: sha256Of(replica.averages.parameters) }),
    ...(error === undefined ? {} : { error: errorRecord(error) }),
  };
}

/** What went wrong, for `result.json`. */
function errorRecord(error: unknown): NonNullable<RunResult['error']> {
  if (error instanceof StorageError) return { code: error.code, message: error.message };
  if (!(error instanceof ProtocolError)) {
    return { code: error instanceof ConfigError ? 'ERR_CONFIG' : 'ERR_INTERNAL', message: describeError(error) };
  }
  const { code, message, worker, step } = error;
  return { code, message, ...(worker === undefined ? {} : { worker }), ...(step === undefined ? {} : { step }) };
}

/** A run that took no step has no model, unless it was to have its initial one. */
export const hasModel = ({ steps, status }: RunResult): boolean => steps > 0 || status === 'completed';

/**
 * Writes the model and the result, the latter also when the former fails; returns it as it then is.
 */
export async function writeOutcome(
  directory: RunRecord,
  { replica, facts }: { readonly replica: Replica; readonly facts: ModelFacts },
  result: RunResult,
): Promise<RunResult> {
  let outcome = result;
  const writeModel = () => (hasModel(result) ? directory.writeModel(replica, facts) : Promise.resolve());
  for (const write of [writeModel, () => directory.writeResult(outcome)]) {
    try {
      await write();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      outcome = { ...outcome, status: 'failed', error: outcome.error ?? errorRecord(error) };
    }
  }
  return outcome;
}
