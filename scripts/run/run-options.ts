/** What the commands that carry out a run have in common. */
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import type { RunOptions } from '../../coordinator/run-options.ts';
import type { RecordedRun } from '../../coordinator/run-directory/resume.ts';
import { createTerminalReporter } from '../../coordinator/reporting/terminal.ts';
import { printableLines } from '../../protocol/errors.ts';
import { keepFreedMemory } from '../../worker/machine/memory.ts';
import { sharedMemorySystem } from '../../worker/machine/shared-memory.ts';
import { fastestVectorMath } from '../../worker/machine/vector-math.ts';
import { checkModelName } from '../flags/load-model.ts';
import { runConfigOf } from '../flags/run-flags.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import { interruptSignal, runOrigin } from '../process.ts';
import { checkWorkers } from '../flags/resume.ts';

/** Says what is out of the ordinary, also when quiet: then where failures of the program go. */
export function warner(quiet: boolean, line: (text: string) => void): (text: string) => void {
  return quiet ? (text) => process.stderr.write(`${printableLines(text)}\n`) : line;
}

/**
 * Readies this process for a run, and returns the options of one with these flags and this many workers, which come from
 * elsewhere; interrupted by the user. Of a run that is resumed the configuration is the recorded one.
 */
export async function runOptionsOf(
  flags: RunFlags & Partial<EngineFlags> & { resumed?: RecordedRun },
  numWorkers: number,
  joinTimeoutSeconds: number,
): Promise<Omit<RunOptions, 'summonWorkers'>> {
  keepFreedMemory();
  const { engine, device, threads, runDir, quiet, resumed, checkpointEvery, keepCheckpoints, recordSteps } = flags;
  if (resumed) checkWorkers(resumed, numWorkers);
  const reporter = createTerminalReporter({ stream: process.stdout, quiet });
  const { config, dataset } = await configOf(flags, { numWorkers, joinTimeoutSeconds, log: reporter.line }).catch(
    (error: unknown) => {
      reporter.onRefused?.();
      throw error;
    },
  );
  return {
    config,
    origin: runOrigin({ engine, device, threads, checkpointEvery, keepCheckpoints, recordSteps }),
    resumed,
    checkpointSettings: { every: checkpointEvery, keep: keepCheckpoints },
    recordSteps,
    runDir,
    dataset,
    vectorMath: fastestVectorMath(),
    sharedMemory: flags.sharedMemory === false ? undefined : sharedMemorySystem(),
    reporter,
    warn: warner(quiet, reporter.line),
    signal: interruptSignal(() => reporter.line('interrupted: ending after this step; once more ends at once')),
  };
}

/** What the run computes, and on what: of one that is resumed, what was recorded. */
async function configOf(
  flags: RunFlags & { resumed?: RecordedRun },
  {
    numWorkers,
    joinTimeoutSeconds,
    log,
  }: { numWorkers: number; joinTimeoutSeconds: number; log: (line: string) => void },
): Promise<Pick<RunOptions, 'config' | 'dataset'>> {
  const { resumed, data, dataDir, resize, testFraction } = flags;
  if (!resumed && !flags.modelSpec) checkModelName(flags.model);
  const recorded = resumed?.config.dataset;
  const dataset = await findDataset({ data, dataDir, resize, testFraction, recorded, log });
  const config = resumed
    ? { ...resumed.config, workers: numWorkers, joinTimeoutSeconds, stepTimeoutSeconds: flags.stepTimeout }
    : runConfigOf(flags, { workers: numWorkers, joinTimeoutSeconds, data: dataset });
  return { config, dataset };
}
