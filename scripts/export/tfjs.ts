/** `--format tfjs`: a layers model of TensorFlow.js, as its own tools save one. */
import { factsOf } from './exported-model.ts';
import type { ExportedModel } from './exported-model.ts';
import type { ExportFile, ExportFormat } from './format.ts';
import { buildKerasModel, INPUT_LAYER, OUTPUT_LAYER } from './tfjs-layers.ts';
import type { KerasModel } from './tfjs-layers.ts';

/** As TensorFlow's converter cuts weights: what a browser caches. */
const SHARD_BYTES = 4 * 2 ** 20;
/** That the files are tried with. */
const TFJS_VERSION = '4.22.0';

export const tfjs: ExportFormat = {
  title: 'a TensorFlow.js layers model',
  hasInputChoice: true,
  files(exported) {
    const keras = buildKerasModel(exported.model, exported.inputKind);
    const shards = shardsOf(keras);
    const json = JSON.stringify({
      format: 'layers-model',
      generatedBy: `gradsock ${exported.version}`,
      convertedBy: null,
      modelTopology: topologyOf(exported.model.plan.spec.name, keras),
      weightsManifest: [
        {
          paths: shards.map(({ name }) => name),
          weights: keras.weights.map(({ name, shape }) => ({ name, shape, dtype: 'float32' })),
        },
      ],
      userDefinedMetadata: factsOf(exported),
    });
    return [{ name: 'model.json', content: json, about: 'network, and which weights are where' }, ...shards];
  },
  convention(exported) {
    const { classes } = exported.model;
    const pixels =
      exported.inputKind === 'bytes' ? '0 to 255: the network scales them' : '0 to 1: bytes divided by 255';
    return [
      `- **Input** \`${INPUT_LAYER}\`, [N, ${shapeOf(exported).join(', ')}]: N images, rows x columns x channels, ${pixels}.`,
      `- **Output** \`${OUTPUT_LAYER}\`, [N, ${classes.length}]: the softmax, one probability a class.`,
      '- `userDefinedMetadata` of `model.json` holds the facts of this card: `model`, `classes` and others.',
    ].join('\n');
  },
  usage: (exported) => `In a page, with the files of this folder beside it on a web server:

${pageCode(exported)}

In Node.js, with \`npm install @tensorflow/tfjs\`:

${nodeCode(exported)}`,
  loading: 'tf.loadLayersModel("URL of model.json")',
};

/** Weights one after the other, cut without regard to where one ends. */
function shardsOf({ weights }: KerasModel): ExportFile[] {
  const bytes = Buffer.concat(
    weights.map(({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );
  const numShards = Math.ceil(bytes.length / SHARD_BYTES);
  return Array.from({ length: numShards }, (_, nth) => ({
    name: `group1-shard${nth + 1}of${numShards}.bin`,
    content: bytes.subarray(nth * SHARD_BYTES, (nth + 1) * SHARD_BYTES),
    about: 'weights, float32',
  }));
}

function topologyOf(name: string, { layers }: KerasModel): object {
  return {
    class_name: 'Model',
    config: {
      name,
      layers,
      input_layers: [[INPUT_LAYER, 0, 0]],
      output_layers: [[OUTPUT_LAYER, 0, 0]],
    },
    keras_version: `tfjs-layers ${TFJS_VERSION}`,
    backend: 'tensor_flow.js',
  };
}

/** Of one image: [height, width, channels]. */
function shapeOf({ model }: ExportedModel): readonly number[] {
  const [channels, height, width] = model.plan.spec.input;
  return [height, width, channels];
}

function pageCode(exported: ExportedModel): string {
  const [, , channels] = shapeOf(exported);
  const scale = exported.inputKind === 'bytes' ? '' : '.div(255)';
  return `\`\`\`html
<img id="image" src="image.png" />
<script src="https://cdn.jsdelivr.net/npm/@tensorflow/tfjs@${TFJS_VERSION}"></script>
<script type="module">
  const model = await tf.loadLayersModel('model.json');
  const { classes } = model.getUserDefinedMetadata();
  await image.decode();
  const images = tf.browser.fromPixels(image, ${channels!})${scale}.expandDims();
  const probabilities = await model.predict(images).data();
  document.body.append(classes[probabilities.indexOf(Math.max(...probabilities))]);
</script>
\`\`\``;
}

function nodeCode(exported: ExportedModel): string {
  return `\`\`\`js
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';

const { modelTopology, weightsManifest, userDefinedMetadata } = JSON.parse(readFileSync('model.json', 'utf8'));
const [{ paths, weights }] = weightsManifest;
const weightData = new Uint8Array(Buffer.concat(paths.map((path) => readFileSync(path)))).buffer;
const model = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs: weights, weightData }));
const images = tf.zeros([1, ${shapeOf(exported).join(', ')}]); // your images in its place
for (const probabilities of await model.predict(images).array()) {
  const largest = Math.max(...probabilities);
  console.log(userDefinedMetadata.classes[probabilities.indexOf(largest)], largest);
}
\`\`\``;
}
