/** What `train` and `startCoordinator` have in common: options that are checked, and a run that is handed back. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import { carryOutRun } from '../../coordinator/main.ts';
import type { RunOptions as CarriedOptions } from '../../coordinator/run-options.ts';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import type { RecordedRun } from '../../coordinator/run-directory/resume.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import { checkModelSpec } from '../flags/load-model.ts';
import { setFlags } from '../flags/given.ts';
import { withResume } from '../flags/resume.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import type { RunCallbacks } from './events.ts';
import { createModel } from './model-at-work.ts';
import type { RunOptions } from './options.ts';
import { sourceInMemory } from './samples.ts';
import type { TrainedRun } from './trained-run.ts';

/** The options of a run, taken apart. */
export interface SettledRun<F> {
  readonly flags: F & { readonly resumed?: RecordedRun };
  readonly samples: DatasetSource | undefined;
  readonly isUnrecorded: boolean;
  readonly command: string | undefined;
  readonly callbacks: RunCallbacks;
}

/**
 * Options as the flags of `command`, completed by defaults, a recipe, or the record of the run that is resumed.
 *
 * Throws `ConfigError` for options that are wrong, alone or together.
 */
export function settleRun<F extends RunFlags & Partial<EngineFlags>>(
  command: Command,
  options: RunOptions,
): SettledRun<F> {
  const { model, data, runDir, command: commandLine, onEpoch, onStep, onEvent, logger, signal, ...named } = options;
  const samples = typeof data === 'object' ? sourceInMemory(data) : undefined;
  if (typeof model === 'object') {
    const spec = checkModelSpec(model, 'model');
    command.setOptionValueWithSource('modelSpec', spec, 'cli');
    command.setOptionValueWithSource('model', spec.name, 'cli');
  }
  setFlags(command, {
    ...named,
    ...(typeof model !== 'object' && { model }),
    ...(typeof data !== 'object' && { data }),
    ...(typeof runDir !== 'boolean' && { runDir }),
  });
  const flags = withResume(command.opts<F>(), command);
  const isUnrecorded = (runDir ?? false) === false && flags.resumed === undefined;
  const callbacks = { onEpoch, onStep, onEvent, logger, signal };
  return { flags, samples, isUnrecorded, command: commandLine, callbacks };
}

/** Carries out a run to its end, and hands back what became of it. Rejects as `carryOutRun` does. */
export async function trainedRun(options: CarriedOptions, engine: EngineFlags): Promise<TrainedRun> {
  const { reporter, resumed } = options;
  const left: { model?: ModelFile | undefined; runDir: string | undefined } = { runDir: resumed?.path };
  const result = await carryOutRun({
    ...options,
    onModel: (model) => (left.model = model),
    reporter: {
      ...reporter,
      onEnd(ended, path) {
        left.runDir = path;
        reporter.onEnd?.(ended, path);
      },
    },
  });
  const model = left.model ?? (resumed?.completed && modelIn(resumed.path));
  return { result, runDir: left.runDir, model: model && createModel(model, engine) };
}

/** Of a run that was over before: its model, if that is still there. */
function modelIn(runDir: string): ModelFile | undefined {
  return existsSync(join(runDir, 'model.safetensors')) ? openModel(runDir) : undefined;
}
