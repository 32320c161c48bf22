/** Which samples of its dataset a run uses. */
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { selectSplits } from '../../protocol/data/dataset.ts';
import type { Dataset, Samples, Splits } from '../../protocol/data/dataset.ts';
import type { RunConfig } from '../run-config.ts';

/** What a configuration says of the samples of a run. */
export type SampleSelection = Pick<RunConfig, 'trainSamples' | 'testSamples' | 'validationSamples'>;

/**
 * Samples for a run: the first `trainSamples` and `testSamples` of the dataset, all when undefined; the last
 * `validationSamples` of those training samples are held back, and evaluated instead of the test samples.
 */
export function selectSamples<S extends Samples>(
  { name, splits }: { readonly name: string; readonly splits: Splits<S> },
  selection: SampleSelection = {},
): Dataset<S> {
  const { trainSamples, testSamples, validationSamples = 0 } = selection;
  const all = selectSplits(splits);
  const check = (flag: string, asked: number | undefined, available: number) => {
    if (asked !== undefined && asked > available) {
      throw new ConfigError(`${flag} ${asked}: ${name} has ${available}: use at most that many`);
    }
  };
  check('--train-samples', trainSamples, all.train.numSamples);
  check('--test-samples', testSamples, all.evaluation.numSamples);
  const numTraining = trainSamples ?? all.train.numSamples;
  if (validationSamples >= numTraining) {
    throw new ConfigError(
      `--validation ${validationSamples} of ${countOf(numTraining, 'training sample')}: leave some to train on`,
    );
  }
  return selectSplits(splits, {
    numTrainSamples: numTraining - validationSamples,
    numTestSamples: testSamples,
    numValidationSamples: validationSamples,
  });
}
