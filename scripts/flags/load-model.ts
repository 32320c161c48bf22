/** `--model`: one of the named ones, or a ModelSpec from a JSON file. */
import { ConfigError } from '../../protocol/errors.ts';
import { modelSpecSchema } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { MODEL_NAMES, MODELS } from '../../protocol/state/models.ts';
import type { ModelName } from '../../protocol/state/models.ts';
import { readJsonFile } from '../../protocol/text-files.ts';

/** Throws `ConfigError` for a name that is none, and for a file that holds no ModelSpec, with its problems. */
export function loadModel(model: string): ModelSpec {
  if (Object.hasOwn(MODELS, model)) return MODELS[model as ModelName];
  if (!model.endsWith('.json')) {
    throw new ConfigError(
      `--model ${model}: expected ${MODEL_NAMES.join(', ')}, or the path of a ModelSpec in FILE.json`,
    );
  }
  const checked = modelSpecSchema.safeParse(readJsonFile(`--model ${model}`, model));
  if (!checked.success) {
    const problems = checked.error.issues.map(({ path, message }) => `  ${path.join('.') || 'the file'}: ${message}`);
    throw new ConfigError(`--model ${model}: not a ModelSpec:\n${problems.join('\n')}`);
  }
  return checked.data;
}
