/** `--model`: one of the named ones, or a ModelSpec from a JSON file. */
import { ConfigError } from '../../protocol/errors.ts';
import type { DatasetIdentity } from '../../protocol/data/dataset.ts';
import { FASHION_MNIST_CLASSES, FASHION_MNIST_SHAPE } from '../../protocol/data/fashion-mnist.ts';
import { modelSpecSchema } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { isModelName, MODEL_NAMES, modelFor } from '../../protocol/state/models.ts';
import { readJsonFile } from '../../protocol/text-files.ts';

/** What a named model is made for. */
export type ModelData = Pick<DatasetIdentity, 'shape' | 'classes'>;

export const FASHION_MNIST_DATA: ModelData = { shape: FASHION_MNIST_SHAPE, classes: FASHION_MNIST_CLASSES };

/**
 * The model by that name for some data, by default Fashion-MNIST; or the one in that file, which may be for other data.
 *
 * Throws `ConfigError` for a name that is none, and for a file that holds no ModelSpec, with its problems.
 */
export function loadModel(model: string, { shape, classes }: ModelData = FASHION_MNIST_DATA): ModelSpec {
  if (isModelName(model)) return modelFor(model, shape, classes.length);
  checkModelName(model);
  return checkModelSpec(readJsonFile(`--model ${model}`, model), `--model ${model}`, 'the file');
}

/** The ModelSpec. Throws `ConfigError`, which begins with `subject`, with the problems of what is none. */
export function checkModelSpec(spec: unknown, subject: string, whole = 'the model'): ModelSpec {
  const checked = modelSpecSchema.safeParse(spec);
  if (checked.success) return checked.data;
  const problems = checked.error.issues.map(({ path, message }) => `  ${path.join('.') || whole}: ${message}`);
  throw new ConfigError(`${subject}: not a ModelSpec:\n${problems.join('\n')}`);
}

/** Throws `ConfigError` for what is neither a model's name nor that of a file; before any data is read. */
export function checkModelName(model: string): void {
  if (isModelName(model) || model.endsWith('.json')) return;
  throw new ConfigError(
    `--model ${model}: expected ${MODEL_NAMES.join(', ')}, or the path of a ModelSpec in FILE.json`,
  );
}
