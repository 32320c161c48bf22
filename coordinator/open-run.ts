/** How a run begins: its directory, new or to be gone on with, held by this process, and where the run stands. */
import type { Replica } from '../protocol/state/replica.ts';
import type { RunPoint } from './checkpoint.ts';
import type { RunOptions } from './main.ts';
import { BEGINNING, restoreRun } from './resume.ts';
import { beginning, createRunDirectory, reopenRunDirectory } from './run-directory.ts';
import type { LockedRunDirectory } from './run-directory.ts';

/**
 * Brings `replica` to where the run stands. The directory is the caller's to release.
 *
 * Rejects, with nothing held, as {@link createRunDirectory}, {@link reopenRunDirectory} and {@link restoreRun} do.
 */
export async function openRun(
  options: Pick<RunOptions, 'config' | 'origin' | 'runDir' | 'resumed' | 'reporter' | 'warn'>,
  replica: Replica,
): Promise<{ directory: LockedRunDirectory; from: RunPoint }> {
  const { config, resumed, warn } = options;
  const told = { say: options.reporter.line, warn };
  const directory = resumed
    ? await reopenRunDirectory(resumed, told)
    : await createRunDirectory(config.model.name, options.runDir, warn);
  try {
    if (!resumed) {
      await beginning(directory.path, () => directory.writeConfig(config, options.origin));
      return { directory, from: BEGINNING };
    }
    const from = await restoreRun(directory, config, replica, told);
    directory.logger.info(from, `resumed after step ${from.step}`);
    return { directory, from };
  } catch (error) {
    await directory.release();
    throw error;
  }
}
