/** Which of Fashion-MNIST's samples a run uses. */
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { parseDataset } from '../../protocol/data/dataset.ts';
import type { Dataset, DatasetBytes } from '../../protocol/data/dataset.ts';
import type { RunConfig } from '../run-config.ts';

/** What a configuration says of the samples of a run. */
export type SampleSelection = Pick<RunConfig, 'trainSamples' | 'testSamples' | 'validationSamples'>;

/**
 * Samples for a run: the first `trainSamples` and `testSamples` of the files, all when undefined; the last
 * `validationSamples` of those training samples are held back, and evaluated instead of the test samples.
 */
export function selectSamples(bytes: DatasetBytes, selection: SampleSelection = {}): Dataset {
  const { trainSamples, testSamples, validationSamples = 0 } = selection;
  const all = parseDataset(bytes);
  const check = (flag: string, asked: number | undefined, available: number) => {
    if (asked !== undefined && asked > available) {
      throw new ConfigError(`${flag} ${asked}: Fashion-MNIST has ${available}: use at most that many`);
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
  return parseDataset(bytes, {
    numTrainSamples: numTraining - validationSamples,
    numTestSamples: testSamples,
    numValidationSamples: validationSamples,
  });
}
