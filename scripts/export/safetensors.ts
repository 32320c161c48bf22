/** `--format safetensors`: the model's own file, byte for byte. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../protocol/errors.ts';
import type { ExportFormat } from './format.ts';

export const safetensors: ExportFormat = {
  title: 'a safetensors file',
  hasInputChoice: false,
  files({ model: { path, fileSha256 } }) {
    const content = readFileSync(path);
    if (createHash('sha256').update(content).digest('hex') !== fileSha256) {
      throw new ConfigError(`${path}: expected the file that was opened, got another: its run goes on; export again`);
    }
    return [{ name: 'model.safetensors', content, about: 'tensors, and in its metadata the network' }];
  },
  convention({ model }) {
    const { input, numClasses } = model.plan.spec;
    return [
      `- **Input**, [N, ${input.join(', ')}]: N images, channels x rows x columns, bytes / 255.`,
      `- **Output**, [N, ${numClasses}]: logits, one a class, before the softmax.`,
      '- **Tensors**: float32. `convN.weight` is [filters, channels, kernel, kernel], applied without mirroring;',
      '  `denseN.weight` is [inputs, units], for y = x W + b; a map is flattened in channel, row, column order.',
      '- **Batch norm**: gamma (x - mean) / sqrt(variance + 1e-5) + beta.',
      '- The metadata hold the facts of this card: `model` (the network as JSON), `classes` and others.',
    ].join('\n');
  },
  usage: () => `gradsock reads the file wherever it takes a model:

\`\`\`
npx gradsock predict model.safetensors image.png
npx gradsock evaluate model.safetensors
\`\`\`

Any reader of safetensors has the tensors by their names. In Python, with \`pip install safetensors numpy\`:

\`\`\`python
import json

from safetensors import safe_open

with safe_open("model.safetensors", framework="numpy") as file:
    layers = json.loads(file.metadata()["model"])["layers"]
    tensors = {name: file.get_tensor(name) for name in file.keys()}
print(layers)
for name, tensor in tensors.items():
    print(name, tensor.shape)
\`\`\`

For a network that is ready to run in PyTorch: \`npx gradsock export model.safetensors --format pytorch\`.`,
  loading: 'npx gradsock predict model.safetensors image.png',
};
