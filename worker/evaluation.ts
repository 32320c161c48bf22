/**
 * Evaluation on a worker: chunks of the samples that are evaluated, sums kept apart by chunk, and where the coordinator asks
 * for them a prediction and a loss for each sample. What is evaluated is the model that the run is for: the averages of the
 * weights where a run keeps them, else the parameters as they are.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { imagesOf } from '../protocol/data/dataset.ts';
import type { Dataset } from '../protocol/data/dataset.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { predict } from '../protocol/vectors/softmax.ts';
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

/** An answer to `evaluate`. */
export type Evaluated = Pick<MessageOf<'evaluation'>, 'chunks' | 'payload'>;

/**
 * Runs the chunks that it is asked for. Rejects with ERR_SHAPE_MISMATCH for chunks that there are not. The payload is
 * overwritten by the next call: memory for predictions is made once, with the first that are asked for.
 */
export function createEvaluator(parts: EvaluationParts): (request: MessageOf<'evaluate'>) => Promise<Evaluated> {
  const { welcome, engine, dataset, replica } = parts;
  const { labels, numSamples } = dataset.evaluation;
  const { evaluationBatch } = welcome;
  const { numClasses } = replica.plan.spec;
  const numChunks = Math.ceil(numSamples / evaluationBatch);
  let memory: PredictionMemory | undefined;
  const allocate = (): PredictionMemory => ({
    outputs: new Float32Array(Math.min(evaluationBatch, numSamples) * numClasses),
    answers: new Float32Array(2 * numSamples),
  });

  return async ({ firstChunk, numChunks: numAsked, predictions = false }) => {
    const endChunk = firstChunk + numAsked;
    if (endChunk > numChunks) {
      throw new ProtocolError('ERR_SHAPE_MISMATCH', `chunks beyond the ${numChunks} of the evaluation`);
    }
    const start = firstChunk * evaluationBatch;
    const numPredicted = predictions ? Math.min(endChunk * evaluationBatch, numSamples) - start : 0;
    const into = predictions ? (memory ??= allocate()) : undefined;
    const payload = into?.answers.subarray(0, 2 * numPredicted) ?? NO_PREDICTIONS;
    const chunks = await withModel(parts, async () => {
      const sums: Sums[] = [];
      for (let chunk = firstChunk; chunk < endChunk; chunk++) {
        const first = chunk * evaluationBatch;
        const end = Math.min(first + evaluationBatch, numSamples);
        const batch = {
          images: imagesOf(dataset.evaluation, first, end - first),
          labels: labels.subarray(first, end),
          numSamples: end - first,
        };
        sums.push(await engine.evaluate(batch, into?.outputs));
        if (!into) continue;
        const predicted = payload.subarray(first - start, end - start);
        const losses = payload.subarray(numPredicted + first - start, numPredicted + end - start);
        predict(into.outputs, batch.labels, numClasses, { predicted, losses });
      }
      return sums;
    });
    return { chunks, payload };
  };
}

const NO_PREDICTIONS = new Float32Array(0);

interface PredictionMemory {
  /** Of a chunk: the last layer's outputs. */
  readonly outputs: Float32Array<ArrayBuffer>;
  /** Of all samples: predictions and losses. */
  readonly answers: Float32Array<ArrayBuffer>;
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
