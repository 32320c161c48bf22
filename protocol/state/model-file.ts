/** The model file of a run: a safetensors file whose metadata says all that is needed to use the model. */
import type { DatasetIdentity } from '../data/dataset.ts';
import { ConfigError } from '../errors.ts';
import { BATCH_NORM_EPSILON, modelSpecSchema, planModel } from './model-spec.ts';
import type { ModelPlan, ModelSpec, TensorSlot } from './model-spec.ts';
import type { Replica } from './replica.ts';
import { decodeSafetensors, encodeSafetensors, namedTensors } from './safetensors.ts';

/** What a model was trained on, and how well it does. */
export interface ModelFacts {
  readonly dataset?: Pick<DatasetIdentity, 'name' | 'classes' | 'sha256'> | undefined;
  /** The last epoch that it was trained in, and the accuracy after it: a fraction. */
  readonly epoch?: number | undefined;
  readonly accuracy?: number | null | undefined;
}

/** How numbers are laid out and meant, in words for people and programs; `docs/reference/model-file.md` explains them. */
const CONVENTIONS = {
  input: 'images [N, channels, height, width], pixels / 255',
  flatten: 'channel, row, column',
  convWeight: '[filters, channels, kernel, kernel], cross-correlation',
  denseWeight: '[inputs, units], y = x W + b',
  batchNormEpsilon: String(BATCH_NORM_EPSILON),
} as const;

/** The bytes of the file: the averages of the weights where the replica keeps them, else the parameters as they are. */
export function encodeModelFile(
  replica: Pick<Replica, 'plan' | 'parameters' | 'buffers' | 'averages' | 'step'>,
  { dataset, epoch, accuracy }: ModelFacts = {},
): Uint8Array {
  const { parameters, buffers } = replica.averages ?? replica;
  return encodeSafetensors(namedTensors(replica.plan, parameters, buffers), {
    format: 'gradsock',
    model: JSON.stringify(replica.plan.spec),
    step: String(replica.step),
    ...(epoch !== undefined && { epoch: String(epoch) }),
    ...(typeof accuracy === 'number' && { accuracy: String(accuracy) }),
    ...(dataset && {
      dataset: dataset.name,
      datasetSha256: dataset.sha256,
      classes: JSON.stringify(dataset.classes),
    }),
    ...CONVENTIONS,
  });
}

/** A model as its file has it. */
export interface ModelFile {
  readonly plan: ModelPlan;
  /** [numParameters] and [numBuffers], in layout order. */
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly buffers: Float32Array<ArrayBuffer>;
  /** Names of the classes, in the order of the outputs. Default: numbers. */
  readonly classes: readonly string[];
  readonly step: number;
  readonly epoch?: number;
  readonly accuracy?: number;
  /** What it was trained on. Absent in files of version 0.1.0. */
  readonly dataset?: { readonly name: string; readonly sha256: string };
}

/** The model as `encodeModelFile` would write it, without the file: a copy of the replica's values. */
export function modelOf(replica: Replica, { dataset, epoch, accuracy }: ModelFacts = {}): ModelFile {
  const { parameters, buffers } = replica.averages ?? replica;
  return {
    plan: replica.plan,
    parameters: Float32Array.from(parameters),
    buffers: Float32Array.from(buffers),
    classes: dataset?.classes ?? numbersTo(replica.plan.spec.numClasses),
    step: replica.step,
    ...(epoch !== undefined && { epoch }),
    ...(typeof accuracy === 'number' && { accuracy }),
    ...(dataset && { dataset: { name: dataset.name, sha256: dataset.sha256 } }),
  };
}

/** Names of classes that have none. */
const numbersTo = (numClasses: number): string[] => Array.from({ length: numClasses }, (_, label) => String(label));

/**
 * The model that a file's bytes hold. Throws `ConfigError`, which begins with `path`, when they are not a sound safetensors
 * file, have no model in their metadata, or lack one of its tensors.
 */
export function decodeModelFile(file: Uint8Array, path: string): ModelFile {
  const { tensors, metadata } = decodeSafetensors(file, path, ({ format }) => {
    // Its tensors have our names, but dense weights are transposed, which a square one does not show.
    if (format === 'pt') {
      throw new ConfigError(`${path}: expected a model of this program, got one in PyTorch's layout: name its run`);
    }
  });
  const plan = planModel(specOf(metadata, path));
  const flat = (slots: readonly TensorSlot[], length: number) => {
    const values = new Float32Array(length);
    for (const { name, shape, offset } of slots) {
      const tensor = tensors.get(name);
      if (tensor?.shape.join() !== shape.join()) {
        const got = tensor ? `[${tensor.shape.join(', ')}]` : 'none';
        throw new ConfigError(`${path}: expected the tensor ${name} of [${shape.join(', ')}], got ${got}`);
      }
      values.set(tensor.values, offset);
    }
    return values;
  };
  return {
    plan,
    parameters: flat(plan.parameters, plan.numParameters),
    buffers: flat(plan.buffers, plan.numBuffers),
    classes: classesOf(metadata, plan.spec.numClasses) ?? numbersTo(plan.spec.numClasses),
    step: Number(metadata['step'] ?? 0),
    ...(metadata['epoch'] !== undefined && { epoch: Number(metadata['epoch']) }),
    ...(metadata['accuracy'] !== undefined && { accuracy: Number(metadata['accuracy']) }),
    ...(metadata['dataset'] !== undefined &&
      metadata['datasetSha256'] !== undefined && {
        dataset: { name: metadata['dataset'], sha256: metadata['datasetSha256'] },
      }),
  };
}

type Metadata = Readonly<Record<string, string | undefined>>;

function specOf({ model }: Metadata, path: string): ModelSpec {
  const checked = modelSpecSchema.safeParse(model === undefined ? undefined : parseJson(model));
  if (checked.success) return checked.data;
  throw new ConfigError(
    `${path}: expected a model of this program, with its ModelSpec in the metadata, got a safetensors file without`,
  );
}

function classesOf({ classes }: Metadata, numClasses: number): string[] | undefined {
  const names = classes === undefined ? undefined : parseJson(classes);
  const isSound =
    Array.isArray(names) && names.length === numClasses && names.every((name) => typeof name === 'string');
  return isSound ? names : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
