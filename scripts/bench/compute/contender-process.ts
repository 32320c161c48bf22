/** A contender's process, our side: see `contender.ts` for what it is told and answers. */
import { selectSplits } from '../../../protocol/data/dataset.ts';
import { canonicalFashionMnist } from '../../../protocol/data/fashion-mnist.ts';
import { readDatasetFiles } from '../../../protocol/data/fashion-mnist-files.ts';
import type { ModelSpec } from '../../../protocol/state/model-spec.ts';
import { answerRequests } from '../common/contender-answers.ts';
import type { Work } from '../common/contender-answers.ts';
import { createMatrixProduct } from './matrix-product.ts';
import { tooSlow } from '../../survey/step-estimate.ts';
import { createTrainingStep } from '../../survey/training-step.ts';

export type Job =
  | {
      readonly task: 'step';
      readonly model: ModelSpec;
      readonly engine: string;
      readonly device?: string | undefined;
      readonly dataFolder: string;
      readonly globalBatch: number;
      readonly learningRate: number;
      /** Otherwise a slow step is an error: see `step-estimate.ts`. */
      readonly mayBeSlow: boolean;
    }
  | { readonly task: 'matrix-product' };

await answerRequests(() => prepare(JSON.parse(process.argv.at(-1)!) as Job));
process.exit();

async function prepare(job: Job): Promise<Work> {
  if (job.task === 'matrix-product') return createMatrixProduct();
  const { dataFolder, mayBeSlow, ...options } = job;
  const bytes = await readDatasetFiles([{ folder: dataFolder, origin: 'the benchmark', isExplicit: true }]);
  const training = await createTrainingStep({
    ...options,
    dataset: selectSplits(canonicalFashionMnist(bytes!).splits),
  });
  const reason = mayBeSlow ? undefined : tooSlow(await training.estimateMs());
  if (reason !== undefined) throw new Error(`${job.model.name}: ${reason}`);
  return training;
}
