/** `gradsock engines`: the engines that this machine can use, probed and timed, and why it cannot use the others. */
import { Command } from 'commander';
import { createLiveLines } from '../../coordinator/reporting/text.ts';
import type { SampleSet } from '../../protocol/data/dataset.ts';
import { imageBytesOf, selectSplits } from '../../protocol/data/dataset.ts';
import {
  canonicalFashionMnist,
  FASHION_MNIST_CLASSES,
  FASHION_MNIST_SHAPE,
} from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, readDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import { visibleGpus } from '../../worker/engines/gpus.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import { dataDirFlag, flag, loadModel } from '../flags/run-flags.ts';
import { EXIT, toStderr } from '../process.ts';
import { DEFAULT_RECIPE } from '../flags/recipe.ts';
import { surveyEngines, surveyOne } from '../survey/survey.ts';
import { formatAuto, formatNotes, formatTable } from '../survey/table.ts';
import { countOf } from '../../protocol/counts.ts';

/** A few steps' worth: they are sent to every process. */
const NUM_SAMPLES = 8 * DEFAULT_RECIPE.globalBatch;

const EXAMPLES = `
Examples:
  gradsock engines
  gradsock engines --models conv,my-model.json --json`;

interface Flags {
  models: string[];
  timing: boolean;
  json: boolean;
  dataDir?: string;
}

export function enginesCommand(): Command {
  return new Command('engines')
    .addOption(
      flag('--models <names>', 'models to probe and time the engines with; also ModelSpecs in FILE.json')
        .argParser((text) => text.split(',').filter(Boolean))
        .default(['dense', 'conv', 'conv-pool'], 'dense,conv,conv-pool'),
    )
    .option('--no-timing', 'probe only, without timing')
    .option('--json', 'print the result as JSON', false)
    .addOption(dataDirFlag("Fashion-MNIST's"))
    .addHelpText('after', EXAMPLES)
    .action(listEngines);
}

async function listEngines({ models: names, timing: isTimed, json, dataDir }: Flags): Promise<void> {
  const models = names.map((name) => loadModel(name));
  const source = isTimed ? await samplesFor(dataDir) : undefined;
  await prepareNative(toStderr);
  const live = createLiveLines(process.stderr);
  const rows = await surveyEngines({ models, samples: source?.samples }, (engine, device) =>
    live?.draw(`trying ${engine} on ${device}`),
  );
  live?.draw('trying auto');
  const auto = await surveyOne({ engine: 'auto', device: undefined, models, samples: undefined });
  live?.clear();
  // Shows the cursor again.
  live?.done();

  const { globalBatch } = DEFAULT_RECIPE;
  const timing = source ? { globalBatch, threads: 1, samples: source.origin } : null;
  const numGpus = (await visibleGpus()).length;
  const text = json
    ? JSON.stringify({ timing, numGpus, engines: rows, auto }, undefined, 2)
    : [
        formatTable(rows, models, isTimed),
        ...(source
          ? [`milliseconds a training step: ${countOf(globalBatch, 'sample')} of ${source.origin}, one thread`]
          : []),
        '',
        ...formatNotes(rows),
        ...(numGpus > 0 ? [`NVIDIA GPUs: ${numGpus}, chosen by --device cuda:0 and so on, else in turn`] : []),
        formatAuto(auto),
      ].join('\n');
  process.stdout.write(`${text}\n`);
  if (!auto.some(({ isUsable }) => isUsable)) process.exitCode = EXIT.failed;
}

/** The first samples of Fashion-MNIST where it is on this machine, else noise of the same shape. */
async function samplesFor(dataDir: string | undefined): Promise<{ samples: SampleSet; origin: string }> {
  const bytes = await readDatasetFiles(datasetPlaces(dataDir));
  if (bytes) {
    const { train } = selectSplits(canonicalFashionMnist(bytes).splits, { numTrainSamples: NUM_SAMPLES });
    // Copies: a view would take the whole file along to the processes.
    return {
      samples: { ...train, images: train.images.slice(), labels: train.labels.slice() },
      origin: 'Fashion-MNIST',
    };
  }
  const random = uniformFloats(1);
  const images = new Uint8Array(NUM_SAMPLES * imageBytesOf(FASHION_MNIST_SHAPE)).map(() => random() * 256);
  const labels = new Uint8Array(NUM_SAMPLES).map((_, sample) => sample % FASHION_MNIST_CLASSES.length);
  return { samples: { images, labels, numSamples: NUM_SAMPLES }, origin: 'noise (Fashion-MNIST is not here)' };
}
