/** `gradsock evaluate RUN|MODEL`: how well a model does, class by class, and where it is most wrong. */
import { Command } from 'commander';
import { createLiveLines } from '../../coordinator/reporting/text.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { bestFlag, evaluationFlags, readingFlags } from '../flags/commands.ts';
import type { EvaluationFlags } from '../flags/commands.ts';
import { addEngineFlags, addFlags, flag } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { describeAssessment } from '../inference/describe-assessment.ts';
import { loadModel } from '../library/load-model.ts';
import { toStderr } from '../process.ts';

const EXAMPLES = `
Examples:
  gradsock evaluate runs/latest --best
  gradsock evaluate model.safetensors --data my-images --confusion confusion.png`;

interface Flags extends EngineFlags, EvaluationFlags {
  best: boolean;
  confusion?: string;
  json: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command('evaluate').argument('<model>', 'run directory, or a model file').addOption(bestFlag());
  addFlags(command, evaluationFlags())
    .addOption(flag('--confusion <file>', 'PNG file in which to draw the confusion matrix'))
    .option('--json', 'print the result as JSON', false)
    .addHelpText('after', EXAMPLES);
  return addEngineFlags(addFlags(command, readingFlags())).action(evaluate);
}

async function evaluate(source: string, flags: Flags): Promise<void> {
  const { best, confusion, json, engine, device, threads, data, ...asked } = flags;
  if (confusion !== undefined) checkFileFolder('--confusion', confusion);
  const note = (text: string) => process.stderr.write(`${text}\n`);
  const model = await loadModel(source, { best, engine, device, threads });
  await prepareNative(toStderr);
  const live = createLiveLines(process.stderr);
  try {
    const { dataDir, split, worst, resize, testFraction } = asked;
    const evaluation = await model.evaluate(data, {
      ...{ dataDir, split, worst, resize, testFraction },
      logger: { info: note },
      onProgress: (numDone, numSamples) => live?.draw(`evaluating: ${numDone} of ${numSamples}`),
    });
    live?.clear();
    const { data: dataName, split: ofSplit, engine: engineName, device: deviceName, ...assessment } = evaluation;
    const about = { model: model.path, data: dataName, split: ofSplit, engine: `${engineName} on ${deviceName}` };
    const text = json
      ? JSON.stringify({ ...about, ...assessment }, undefined, 2)
      : [`${model.path!} on ${dataName} (${ofSplit}), by ${about.engine}`, ...describeAssessment(assessment)].join(
          '\n',
        );
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
    await model.dispose();
  }
}
