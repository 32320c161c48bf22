/** `gradsock predict RUN|MODEL IMAGE...`: what a model says of images. */
import { Command } from 'commander';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import { BATCH } from '../inference/predictor.ts';
import { readImages } from '../inference/read-images.ts';
import type { ModelImage } from '../inference/read-images.ts';
import { addEngineFlags, flag } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { bestFlag } from '../flags/commands.ts';
import { count } from '../flags/values.ts';
import { loadModel } from '../library/load-model.ts';
import { toStderr } from '../process.ts';

const EXAMPLES = `
Examples:
  gradsock predict runs/latest shirt.png boot.png
  gradsock predict runs/latest drawing.jpg --invert --center --top 5`;

interface Flags extends EngineFlags {
  best: boolean;
  invert: boolean;
  resize: boolean;
  center: boolean;
  top: number;
  json: boolean;
}

export function predictCommand(): Command {
  const command = new Command('predict')
    .argument('<model>', 'run directory, or a model file')
    .argument('<images...>', 'image files: PNG, JPEG, .npy or IDX')
    .addOption(bestFlag())
    .option('--invert', 'turn black into white: for drawings on paper', false)
    .option('--resize', "bring images of another size to the model's", false)
    .option('--center', 'cut out what is drawn, fit it in and centre it, as in MNIST', false)
    .addOption(flag('--top <k>', 'classes to print for each image').argParser(count).default(3))
    .option('--json', 'print the result as JSON', false)
    .addHelpText('after', EXAMPLES);
  return addEngineFlags(command).action(predict);
}

async function predict(source: string, paths: readonly string[], flags: Flags): Promise<void> {
  const { best, invert, resize, center, top, json, engine, device, threads } = flags;
  const model = await loadModel(source, { best, engine, device, threads });
  await prepareNative(toStderr);
  const changes = { isInverted: invert, isResized: resize, isCentred: center };
  const images: ModelImage[] = [];
  for (const path of paths) images.push(...(await readImages(path, model.spec.input, changes)));
  try {
    const results: object[] = [];
    for (let first = 0; first < images.length; first += BATCH) {
      const some = images.slice(first, first + BATCH);
      const predictions = await model.predict(Buffer.concat(some.map(({ planes }) => planes)), some.length);
      for (const [i, image] of some.entries()) {
        const { className, probabilities } = predictions[i]!;
        const ranked = [...probabilities.keys()].sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
        const named = ranked
          .slice(0, top)
          .map((label) => ({ label, name: model.classes[label]!, probability: probabilities[label]! }));
        if (json) {
          results.push({ image: image.name, prediction: className, changes: image.changes, classes: named });
        } else {
          const text = named.map(({ name, probability }) => `${name} ${probability.toFixed(3)}`).join(', ');
          const done = image.changes.length === 0 ? '' : ` (${image.changes.join(', ')})`;
          process.stdout.write(`${image.name}: ${text}${done}\n`);
        }
      }
    }
    if (json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    await model.dispose();
  }
}
