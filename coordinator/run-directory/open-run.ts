/** How a run begins: its directory, new or to be gone on with, held by this process, and where the run stands. */
import { countOf } from '../../protocol/counts.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { RunPoint } from './checkpoint.ts';
import { linkLatest } from './latest-link.ts';
import type { Reporter } from '../reporting/reporter.ts';
import type { RunConfig } from '../run-config.ts';
import { BEGINNING, readRecordedRun, restoreRun } from './resume.ts';
import type { RecordedRun } from './resume.ts';
import { StorageError } from './storage-error.ts';
import { cannotBeMade, createRunDirectory, reopenRunDirectory } from './locked-run-directory.ts';
import type { LockedRecord } from './locked-run-directory.ts';
import { createUnrecordedRun } from './unrecorded-run.ts';

export interface OpenRunOptions {
  readonly config: RunConfig;
  /** For `config.json`: versions and the command, beside the configuration. */
  readonly origin: object;
  /** Default: a folder below runs/, named by date, model and id. */
  readonly runDir?: string | undefined;
  /** Whether the run leaves nothing behind: no run directory, no checkpoint. Default: false. */
  readonly isUnrecorded?: boolean;
  /** The run to go on with: its directory, and the configuration that goes with it. */
  readonly resumed?: RecordedRun | undefined;
  /** Aborted by the user: the run ends after the step at hand. */
  readonly signal: AbortSignal;
  readonly reporter: Reporter & { readonly line: (text: string) => void };
  /** For what is out of the ordinary. */
  readonly warn: (line: string) => void;
}

export interface OpenedRun {
  readonly directory: LockedRecord;
  readonly from: RunPoint;
  /** The all-reduce that it took, when it had come as far as that. */
  readonly begunWith: RecordedRun['begunWith'];
  /** When the run was begun, in ISO 8601; unknown of a run that an older version began. */
  readonly startedAt: string | undefined;
}

/**
 * Brings `replica` to where the run stands. The directory is the caller's to release.
 *
 * Rejects, with nothing held, as {@link createRunDirectory}, {@link reopenRunDirectory} and {@link restoreRun} do.
 */
export async function openRun(options: OpenRunOptions, replica: Replica): Promise<OpenedRun> {
  const { config, resumed, signal, warn } = options;
  if (options.isUnrecorded) {
    const startedAt = new Date().toISOString();
    return { directory: createUnrecordedRun(), from: BEGINNING, begunWith: undefined, startedAt };
  }
  const told = { say: options.reporter.line, warn, signal };
  const directory = resumed
    ? await reopenRunDirectory(resumed, told)
    : await createRunDirectory(config.model.name, options.runDir, told);
  try {
    if (!resumed) {
      const startedAt = new Date().toISOString();
      await directory.writeConfig(config, { ...options.origin, startedAt });
      if (options.runDir === undefined) linkLatest(directory.path);
      return { directory, from: BEGINNING, begunWith: undefined, startedAt };
    }
    if (resumed.isLonger) {
      await directory.recordEpochs(config.epochs, resumed.earlierEpochs ?? []);
      told.say(`${directory.path}: ${countOf(config.epochs, 'epoch')} in place of ${resumed.earlierEpochs!.at(-1)!}`);
    }
    const from = await restoreRun(directory, config, replica, told, resumed.earlierEpochs);
    directory.logger.info(from, `resumed after step ${from.step}`);
    // Read again: it may have been recorded by the process that had the lock until now.
    return { directory, from, begunWith: readRecordedRun(resumed.path).begunWith, startedAt: resumed.startedAt };
  } catch (error) {
    await directory.release();
    await directory.discard();
    throw !resumed && error instanceof StorageError ? cannotBeMade(directory.path, error) : error;
  }
}
