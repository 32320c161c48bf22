/** `--format pytorch`: a `state_dict` in a safetensors file, and the module that it is for. */
import { encodeSafetensors } from '../../protocol/state/safetensors.ts';
import { textFacts } from './exported-model.ts';
import type { ExportFormat } from './format.ts';
import { moduleText, stateDict } from './pytorch-module.ts';

export const pytorch: ExportFormat = {
  title: 'a PyTorch module',
  hasInputChoice: false,
  files(exported) {
    const { model, version } = exported;
    // "pt": the tensors are in PyTorch's layout, which readers look for.
    const metadata = { format: 'pt', ...textFacts(exported) };
    return [
      { name: 'model.safetensors', content: encodeSafetensors(stateDict(model), metadata), about: 'the `state_dict`' },
      { name: 'model.py', content: moduleText(model.plan, version), about: 'the network: plain `torch.nn`' },
    ];
  },
  convention(exported) {
    const { input, numClasses } = exported.model.plan.spec;
    return [
      `- **Input**, [N, ${input.join(', ')}]: N images, channels x rows x columns, as uint8, or as float32 bytes / 255.`,
      `- **Output**, [N, ${numClasses}]: logits, one a class, before the softmax.`,
      '- The metadata of `model.safetensors` hold the facts of this card: `model`, `classes` and others.',
    ].join('\n');
  },
  usage: ({ model }) => `In this folder, with \`pip install torch safetensors\`:

\`\`\`python
import json

import torch
from model import Model
from safetensors import safe_open

with safe_open("model.safetensors", framework="pt") as file:
    weights = {name: file.get_tensor(name) for name in file.keys()}
    classes = json.loads(file.metadata()["classes"])
model = Model()
model.load_state_dict(weights)
model.eval()
images = torch.zeros(1, ${model.plan.spec.input.join(', ')}, dtype=torch.uint8)  # your images in its place
with torch.inference_mode():
    probabilities, labels = model(images).softmax(dim=1).max(dim=1)
for label, probability in zip(labels, probabilities):
    print(classes[label], float(probability))
\`\`\``,
  loading: 'model = Model(); model.load_state_dict(safetensors.torch.load_file("model.safetensors"))',
};
