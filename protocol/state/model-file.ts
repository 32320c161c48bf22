/** The model file of a run: a safetensors file whose metadata says all that is needed to use the model. */
import type { DatasetIdentity } from '../data/dataset.ts';
import { BATCH_NORM_EPSILON } from './model-spec.ts';
import type { Replica } from './replica.ts';
import { encodeSafetensors, namedTensors } from './safetensors.ts';

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
export function encodeModelFile(replica: Replica, { dataset, epoch, accuracy }: ModelFacts = {}): Uint8Array {
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
