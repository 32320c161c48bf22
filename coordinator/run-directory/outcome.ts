/** The outcome of a run, as it is left in its directory: the model, and a result that says how it ended. */
import { ConfigError, describeError, ProtocolError } from '../../protocol/errors.ts';
import type { ModelFacts } from '../../protocol/state/model-file.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { RunResult } from '../reporting/reporter.ts';
import type { RunDirectory } from './run-directory.ts';
import { StorageError } from './storage-error.ts';

/** What went wrong, for `result.json`. */
export function errorRecord(error: unknown): NonNullable<RunResult['error']> {
  if (error instanceof StorageError) return { code: error.code, message: error.message };
  if (!(error instanceof ProtocolError)) {
    return { code: error instanceof ConfigError ? 'ERR_CONFIG' : 'ERR_INTERNAL', message: describeError(error) };
  }
  const { code, message, worker, step } = error;
  return { code, message, ...(worker === undefined ? {} : { worker }), ...(step === undefined ? {} : { step }) };
}

/**
 * Writes the model and the result, the latter also when the former fails; returns it as it then is. A run that took no
 * step has no model, unless it was to have its initial one.
 */
export async function writeOutcome(
  directory: RunDirectory,
  { replica, facts }: { readonly replica: Replica; readonly facts: ModelFacts },
  result: RunResult,
): Promise<RunResult> {
  let outcome = result;
  const hasModel = result.steps > 0 || result.status === 'completed';
  const writeModel = () => (hasModel ? directory.writeModel(replica, facts) : Promise.resolve());
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
