/** A contender's process, our side: see `contender.ts` for what it is told and answers. */
import { parseDataset } from '../../protocol/state/dataset.ts';
import { readDatasetFiles } from '../../protocol/state/dataset-files.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { answerRequests } from './contender-answers.ts';
import type { Work } from './contender-answers.ts';
import { createMatrixProduct } from './matrix-product.ts';
import { createTrainingStep } from './training-step.ts';

export type Job =
  | {
      readonly task: 'step';
      readonly model: ModelSpec;
      readonly engine: string;
      readonly device?: string | undefined;
      readonly dataFolder: string;
      readonly globalBatch: number;
      readonly learningRate: number;
      /** Otherwise it is an error that a step takes more than {@link LIMIT_MS}. */
      readonly mayBeSlow: boolean;
    }
  | { readonly task: 'matrix-product' };

/** Slower engines would make a benchmark of minutes one of hours. */
const LIMIT_MS = 2000;

await answerRequests(() => prepare(JSON.parse(process.argv.at(-1)!) as Job));
process.exit();

async function prepare(job: Job): Promise<Work> {
  if (job.task === 'matrix-product') return createMatrixProduct();
  const { dataFolder, mayBeSlow, ...options } = job;
  const bytes = await readDatasetFiles([{ folder: dataFolder, origin: 'the benchmark', isExplicit: true }]);
  const training = await createTrainingStep({ ...options, dataset: parseDataset(bytes!) });
  const stepMs = mayBeSlow ? 0 : await training.estimateMs();
  if (stepMs > LIMIT_MS)
    throw new Error(`a step of ${job.model.name} takes an estimated ${(stepMs / 1000).toFixed(0)} s`);
  return training;
}
