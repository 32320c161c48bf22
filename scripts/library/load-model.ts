/** Models of runs that are over. */
import { Command } from 'commander';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import { bestFlag } from '../flags/commands.ts';
import { setFlags } from '../flags/given.ts';
import { addEngineFlags } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { createModel } from './model-at-work.ts';
import type { Model } from './model.ts';
import type { ModelOptions } from './options.ts';

/**
 * The model in a run directory, or in a model file. Nothing but the file is read: the engine is made when it is needed.
 *
 * Rejects with `ConfigError` for a path that leads to no sound model.
 */
export function loadModel(path: string, options: ModelOptions = {}): Promise<Model> {
  return new Promise((resolve) => {
    const command = addEngineFlags(new Command('loadModel').addOption(bestFlag()));
    setFlags(command, options);
    const flags = command.opts<EngineFlags & { best: boolean }>();
    resolve(createModel(openModel(path, { isBest: flags.best }), flags));
  });
}
