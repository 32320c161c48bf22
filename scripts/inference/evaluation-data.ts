/** What a model is evaluated on: what was asked for; else what its run was trained on. */
import { FASHION_MNIST } from '../../coordinator/dataset/dataset-source.ts';
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { readRecordedRun } from '../../coordinator/run-directory/resume.ts';
import { countOf } from '../../protocol/counts.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import type { DatasetIdentity, Samples } from '../../protocol/data/dataset.ts';
import { ConfigError } from '../../protocol/errors.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import type { EvaluationFlags } from '../flags/commands.ts';

/** A model, and where it was found. */
export interface FoundModel extends ModelFile {
  /** Its file; undefined of one that was trained in this process. */
  readonly path?: string;
  /** The run directory that it was named by. */
  readonly run?: string;
}

export interface EvaluationData {
  readonly name: string;
  readonly dataset: CanonicalDataset;
  readonly samples: Samples;
}

/**
 * The samples to evaluate on. What a run was trained on must still be the same. `given`: samples of the caller's own.
 *
 * Throws `ConfigError` for data that does not fit the model or has no such split.
 */
export async function openEvaluationData(
  model: FoundModel,
  { data, dataDir, resize, testFraction, split }: Omit<EvaluationFlags, 'worst'>,
  { given, log }: { readonly given?: DatasetSource | undefined; readonly log: (line: string) => void },
): Promise<EvaluationData> {
  const recorded: DatasetIdentity | undefined =
    model.run === undefined ? undefined : readRecordedRun(model.run).config.dataset;
  const asked = data ?? recorded?.source ?? FASHION_MNIST;
  const source = given ?? (await findDataset({ data: asked, dataDir, resize, testFraction, recorded, log }));
  const dataset = await source.open();
  if (!given && data === undefined && recorded && recorded.sha256 !== dataset.sha256) {
    throw new ConfigError(
      `${asked}: expected the data that the run was trained on, with sha256 ${recorded.sha256}, got ${dataset.sha256}: name ` +
        'what to evaluate on by --data',
    );
  }
  const { input, numClasses } = model.plan.spec;
  if (input.join() !== dataset.shape.join() || numClasses !== dataset.classes.length) {
    throw new ConfigError(
      `${source.name}: images of [${dataset.shape.join(', ')}] in ${countOf(dataset.classes.length, 'class', 'classes')}, but ` +
        `${model.path ?? 'the model'} takes [${input.join(', ')}] in ${numClasses}: name other data by --data`,
    );
  }
  return { name: source.name, dataset, samples: splitOf(source.name, dataset, split) };
}

function splitOf(name: string, { splits }: CanonicalDataset, split: EvaluationFlags['split']): Samples {
  const samples = splits[split];
  if (samples) return samples;
  throw new ConfigError(`--split ${split}: ${name} has no such samples: use test or train`);
}
