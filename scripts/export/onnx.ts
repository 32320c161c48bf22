/** `--format onnx`: one file that ONNX Runtime and others run. */
import { encodeModel } from '../../worker/engines/onnx/encoder.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import type { ModelPlan } from '../../protocol/state/model-spec.ts';
import { formatTable } from '../tables/table.ts';
import { textFacts } from './exported-model.ts';
import type { ExportedModel } from './exported-model.ts';
import type { ExportFormat } from './format.ts';
import { buildInferenceGraph } from './onnx-graph.ts';

/** Protobuf's own limit of a message, 2 GiB less a byte, less what the graph itself may take. */
const MOST_TENSOR_BYTES = 2 ** 31 - 1 - 2 ** 20;

export const onnx: ExportFormat = {
  title: 'ONNX',
  hasInputChoice: true,
  files(exported) {
    const { model } = exported;
    checkSize(model.path, model.plan);
    const graph = buildInferenceGraph(model, exported.inputKind);
    const { name } = model.plan.spec;
    const content = encodeModel(graph, {
      version: exported.version,
      doc: `${name}: an image classifier of ${countOf(model.classes.length, 'class', 'classes')}, trained by gradsock`,
      metadata: textFacts(exported),
    });
    return [{ name: 'model.onnx', content, about: 'network and weights; opset 17' }];
  },
  convention(exported) {
    const { input, numClasses } = exported.model.plan.spec;
    const [type, pixels] =
      exported.inputKind === 'bytes'
        ? ['uint8', 'pixels from 0 to 255, which the network divides by 255']
        : ['float32', 'pixels from 0 to 1: bytes divided by 255'];
    const rows = [
      ['input `images`', `${type} [N, ${input.join(', ')}]`, `images, channels x rows x columns; ${pixels}`],
      ['output `logits`', `float32 [N, ${numClasses}]`, 'one output a class, before the softmax'],
      ['output `probabilities`', `float32 [N, ${numClasses}]`, 'their softmax'],
      ['output `label`', 'int64 [N]', 'index of the most probable class'],
    ];
    return [
      formatTable(['tensor', 'type, shape', 'meaning'], 3, rows),
      '',
      "N is any number of images. The file's `metadata_props` hold the facts of this card: `model`, `classes` and others.",
    ].join('\n');
  },
  usage: (exported) => `In Python, with \`pip install onnxruntime numpy\`:

${pythonCode(exported)}

In Node.js, with \`npm install onnxruntime-node\`; onnxruntime-web in a browser has the same interface:

${nodeCode(exported)}`,
  loading:
    'onnxruntime.InferenceSession("model.onnx") in Python, ort.InferenceSession.create("model.onnx") in JavaScript',
};

/** Throws `ConfigError` for a model that no ONNX file holds. */
export function checkSize(
  path: string,
  { numParameters, numBuffers }: Pick<ModelPlan, 'numParameters' | 'numBuffers'>,
) {
  const bytes = 4 * (numParameters + numBuffers);
  if (bytes <= MOST_TENSOR_BYTES) return;
  throw new ConfigError(
    `--format onnx: ${path}: tensors of ${(bytes / 2 ** 30).toFixed(1)} GiB, expected less than 2 GiB, the most that an ` +
      'ONNX file holds: use --format pytorch or safetensors',
  );
}

function pythonCode({ model, inputKind }: ExportedModel): string {
  const shape = `(1, ${model.plan.spec.input.join(', ')})`;
  return `\`\`\`python
import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
images = np.zeros(${shape}, np.${inputKind === 'bytes' ? 'uint8' : 'float32'})  # your images in its place
probabilities, labels = session.run(["probabilities", "label"], {"images": images})
for label, of_classes in zip(labels, probabilities):
    print(classes[label], of_classes[label])
\`\`\``;
}

function nodeCode({ model, inputKind }: ExportedModel): string {
  const { input } = model.plan.spec;
  const shape = `[1, ${input.join(', ')}]`;
  const [type, array] = inputKind === 'bytes' ? ['uint8', 'Uint8Array'] : ['float32', 'Float32Array'];
  return `\`\`\`js
import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';

const session = await ort.InferenceSession.create('model.onnx');
const { classes } = JSON.parse(readFileSync('export.json', 'utf8'));
const images = new ort.Tensor('${type}', new ${array}(${input.join(' * ')}), ${shape}); // your images in its place
const { probabilities, label } = await session.run({ images });
label.data.forEach((index, image) => {
  console.log(classes[index], probabilities.data[image * classes.length + Number(index)]);
});
\`\`\``;
}
