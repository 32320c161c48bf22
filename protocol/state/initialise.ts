/** Fine-tuning: a replica that begins with the numbers of a model that was trained before, as far as they fit. */
import type { ModelFile } from './model-file.ts';
import type { TensorSlot } from './model-spec.ts';
import type { Replica } from './replica.ts';

export interface Initialisation {
  /** Names of tensors that were taken over. */
  readonly taken: readonly string[];
  /** Those that keep their random values, with the reason: "dense3.weight ([84, 10], the model has [84, 26])". */
  readonly fresh: readonly string[];
}

/**
 * Gives a replica at step 0 each tensor that `model` has under the same name and with the same shape. The others stay as
 * they were initialised. Averages of the weights begin with the same values.
 */
export function initialiseFrom(replica: Replica, model: ModelFile): Initialisation {
  const taken: string[] = [];
  const fresh: string[] = [];
  const take = (
    slots: readonly TensorSlot[],
    into: Float32Array<ArrayBuffer>,
    [theirs, values]: readonly [readonly TensorSlot[], Float32Array<ArrayBuffer>],
  ) => {
    for (const { name, shape, offset } of slots) {
      const found = theirs.find((slot) => slot.name === name);
      if (found?.shape.join() === shape.join()) {
        into.set(values.subarray(found.offset, found.offset + found.size), offset);
        taken.push(name);
      } else {
        const other = found ? `the model has [${found.shape.join(', ')}]` : 'the model has none';
        fresh.push(`${name} ([${shape.join(', ')}], ${other})`);
      }
    }
  };
  take(replica.plan.parameters, replica.parameters, [model.plan.parameters, model.parameters]);
  take(replica.plan.buffers, replica.buffers, [model.plan.buffers, model.buffers]);
  replica.averages?.parameters.set(replica.parameters);
  replica.averages?.buffers.set(replica.buffers);
  return { taken, fresh };
}
