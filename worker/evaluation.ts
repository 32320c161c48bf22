/**
 * Evaluation on a worker: chunks of the samples that are evaluated, sums kept apart by chunk. What is evaluated is the model
 * that the run is for: the averages of the weights where a run keeps them, else the parameters as they are.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { imagesOf } from '../protocol/data/dataset.ts';
import type { Dataset } from '../protocol/data/dataset.ts';
import type { Replica } from '../protocol/state/replica.ts';
import type { MessageOf, Sums } from '../protocol/wire/messages.ts';
import type { Engine } from './engines/engine.ts';

export interface EvaluationParts {
  readonly welcome: Pick<MessageOf<'welcome'>, 'evaluationBatch'>;
  readonly dataset: Pick<Dataset, 'evaluation'>;
  readonly engine: Engine;
  readonly replica: Replica;
  /** What the engine was created on. */
  readonly workspace: Replica;
}

/** Runs the chunks that were asked for. Rejects with ERR_SHAPE_MISMATCH for chunks that there are not. */
export async function evaluateChunks(parts: EvaluationParts, request: MessageOf<'evaluate'>): Promise<Sums[]> {
  const { welcome, engine, dataset } = parts;
  const { labels, numSamples } = dataset.evaluation;
  const numChunks = Math.ceil(numSamples / welcome.evaluationBatch);
  const { firstChunk, numChunks: numAsked } = request;
  if (firstChunk + numAsked > numChunks) {
    throw new ProtocolError('ERR_SHAPE_MISMATCH', `chunks beyond the ${numChunks} of the evaluation`);
  }
  return await withModel(parts, async () => {
    const sums: Sums[] = [];
    for (let chunk = firstChunk; chunk < firstChunk + numAsked; chunk++) {
      const first = chunk * welcome.evaluationBatch;
      const end = Math.min(first + welcome.evaluationBatch, numSamples);
      const batch = {
        images: imagesOf(dataset.evaluation, first, end - first),
        labels: labels.subarray(first, end),
        numSamples: end - first,
      };
      sums.push(await engine.evaluate(batch));
    }
    return sums;
  });
}

/** Has the engine see the model to evaluate while `work` lasts; the state that is trained is whole again afterwards. */
async function withModel<T>({ replica, workspace }: EvaluationParts, work: () => Promise<T>): Promise<T> {
  const isApart = workspace !== replica;
  const { averages } = replica;
  if (isApart) workspace.restore(replica.state, replica.step);
  if (!averages) return await work();
  const kept = isApart ? undefined : { parameters: replica.parameters.slice(), buffers: replica.buffers.slice() };
  workspace.parameters.set(averages.parameters);
  workspace.buffers.set(averages.buffers);
  try {
    return await work();
  } finally {
    if (kept) {
      replica.parameters.set(kept.parameters);
      replica.buffers.set(kept.buffers);
    }
  }
}
