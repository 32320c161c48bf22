/** `gradsock evaluate RUN|MODEL`: how well a model does, class by class, and where it is most wrong. */
import { Command, Option } from 'commander';
import { FASHION_MNIST } from '../../coordinator/dataset/dataset-source.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { readRecordedRun } from '../../coordinator/run-directory/resume.ts';
import { createLiveLine } from '../../coordinator/reporting/text.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { countOf } from '../../protocol/counts.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import type { DatasetIdentity, Samples } from '../../protocol/data/dataset.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { readingFlags } from '../flags/data.ts';
import { addEngineFlags, dataDirFlag, flag } from '../flags/run-flags.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import { index } from '../flags/values.ts';
import { assess } from '../inference/assessment.ts';
import { describeAssessment } from '../inference/describe-assessment.ts';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import type { OpenedModel } from '../../coordinator/run-directory/open-model.ts';
import { createPredictor } from '../inference/predictor.ts';

const EXAMPLES = `
Examples:
  gradsock evaluate runs/latest --best
  gradsock evaluate model.safetensors --data my-images --confusion confusion.png`;

const SPLITS = ['test', 'train', 'validation'] as const;

interface Flags extends EngineFlags, Pick<RunFlags, 'dataDir' | 'resize' | 'testFraction'> {
  data?: string;
  best: boolean;
  split: (typeof SPLITS)[number];
  worst: number;
  confusion?: string;
  json: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .argument('<model>', 'run directory, or a model file')
    .option('--best', "take a run's most accurate model, not its last", false)
    .addOption(flag('--data <name|path>', 'dataset. Default: what the run was trained on, else fashion-mnist'))
    .addOption(dataDirFlag())
    .addOption(new Option('--split <name>', 'samples to evaluate on').choices(SPLITS).default('test'))
    .addOption(flag('--worst <k>', 'samples with the largest losses to name').argParser(index).default(10))
    .addOption(flag('--confusion <file>', 'PNG file in which to draw the confusion matrix'))
    .option('--json', 'print the result as JSON', false)
    .addHelpText('after', EXAMPLES);
  for (const option of readingFlags()) command.addOption(option);
  return addEngineFlags(command).action(evaluate);
}

async function evaluate(source: string, flags: Flags): Promise<void> {
  const { best, split, worst, confusion, json, engine, device, threads } = flags;
  if (confusion !== undefined) checkFileFolder('--confusion', confusion);
  const note = (text: string) => process.stderr.write(`${text}\n`);
  const model = openModel(source, { isBest: best });
  const { name, dataset } = await openData(model, flags, note);
  const samples = splitOf(name, dataset, split);
  const predictor = await createPredictor(model, { engine, device, threads });
  const live = createLiveLine(process.stderr);
  try {
    const assessment = await assess(predictor, samples, {
      shape: dataset.shape,
      classes: dataset.classes,
      numWorst: worst,
      onProgress: (numDone) => live?.(`evaluating: ${numDone} of ${samples.numSamples}`),
    });
    live?.clear();
    const about = {
      model: model.path,
      data: name,
      split,
      engine: `${predictor.engine.name} on ${predictor.engine.device}`,
    };
    const text = json
      ? JSON.stringify({ ...about, ...assessment }, undefined, 2)
      : [`${about.model} on ${name} (${split}), by ${about.engine}`, ...describeAssessment(assessment)].join('\n');
    process.stdout.write(`${text}\n`);
    if (confusion === undefined) return;
    const { drawConfusion } = await import('../inference/confusion-picture.ts');
    const { bytes, warning } = drawConfusion(assessment);
    await writeFileAtomically(confusion, bytes);
    if (warning !== undefined) note(`warning: ${warning}`);
    note(`confusion matrix: ${confusion}`);
  } finally {
    live?.clear();
    // Shows the cursor again.
    live?.done();
    await predictor.dispose();
  }
}

/** What was asked for; else what the run was trained on, which must still be the same. */
async function openData(
  model: OpenedModel,
  { data, dataDir, resize, testFraction }: Flags,
  log: (line: string) => void,
): Promise<{ name: string; dataset: CanonicalDataset }> {
  const recorded: DatasetIdentity | undefined =
    model.run === undefined ? undefined : readRecordedRun(model.run).config.dataset;
  const asked = data ?? recorded?.source ?? FASHION_MNIST;
  const source = await findDataset({ data: asked, dataDir, resize, testFraction, recorded, log });
  const dataset = await source.open();
  if (data === undefined && recorded && recorded.sha256 !== dataset.sha256) {
    throw new ConfigError(
      `${asked}: expected the data that the run was trained on, with sha256 ${recorded.sha256}, got ${dataset.sha256}: name ` +
        'what to evaluate on by --data',
    );
  }
  const { input, numClasses } = model.plan.spec;
  if (input.join() !== dataset.shape.join() || numClasses !== dataset.classes.length) {
    throw new ConfigError(
      `${source.name}: images of [${dataset.shape.join(', ')}] in ${countOf(dataset.classes.length, 'class', 'classes')}, but ` +
        `${model.path} takes [${input.join(', ')}] in ${numClasses}: name other data by --data`,
    );
  }
  return { name: source.name, dataset };
}

function splitOf(name: string, { splits }: CanonicalDataset, split: Flags['split']): Samples {
  const samples = splits[split];
  if (samples) return samples;
  throw new ConfigError(`--split ${split}: ${name} has no such samples: use test or train`);
}
