/** A model as the text of a PyTorch module, and its tensors as that module's `state_dict` has them. */
import { BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM } from '../../protocol/state/model-spec.ts';
import type { LayerPlan, ModelPlan } from '../../protocol/state/model-spec.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import type { WritableTensor } from '../../protocol/state/safetensors.ts';
import { nameLayers } from './layer-names.ts';
import type { NamedLayer } from './layer-names.ts';
import { transpose, valuesOf } from './tensors.ts';

/** `model.py`: plain `torch.nn`, a class `Model` whose layers are called as in every format. */
export function moduleText({ spec, layers }: ModelPlan, version: string): string {
  const hasResiduals = layers.some(({ kind }) => kind === 'fork');
  return `"""The network ${spec.name} for PyTorch, written by gradsock ${version}. README.md says how to load its weights."""

from collections import OrderedDict

import torch
from torch import nn

${hasResiduals ? RESIDUAL : ''}
class Model(nn.Sequential):
    """Images [N, ${spec.input.join(', ')}], as bytes or as floats from 0 to 1, to logits [N, ${spec.numClasses}]."""

    def __init__(self):
        super().__init__(
            OrderedDict(
${linesOf(nameLayers(layers)).join('\n')}
            )
        )

    def forward(self, images):
        return super().forward(images / 255 if images.dtype == torch.uint8 else images)
`;
}

const RESIDUAL = `
class Residual(nn.Sequential):
    """x + layers(x)"""

    def forward(self, x):
        return x + super().forward(x)

`;

const INDENT = '    ';

/** One module a line; those of a residual block are indented. */
function linesOf(layers: readonly NamedLayer[]): string[] {
  const lines: string[] = [];
  let depth = 4;
  const line = (text: string) => lines.push(INDENT.repeat(depth) + text);
  const relu = (name: string) => line(`${name}_relu=nn.ReLU(),`);
  for (const layer of layers) {
    const { name } = layer;
    switch (layer.kind) {
      case 'fork':
        line(`${name}=Residual(`);
        depth++;
        line('OrderedDict(');
        depth++;
        break;
      case 'join':
        depth--;
        line(')');
        depth--;
        line('),');
        if (layer.relu) relu(name);
        break;
      case 'conv':
        if (isLopsided(layer)) {
          const { left, right, top, bottom } = layer.padding;
          line(`${name}_padding=nn.ZeroPad2d((${[left, right, top, bottom].join(', ')})),`);
        }
        line(`${name}=${moduleOf(layer)},`);
        if (layer.relu) relu(name);
        break;
      case 'dense':
        line(`${name}=${moduleOf(layer)},`);
        if (layer.relu) relu(name);
        break;
      case 'maxPool':
      case 'averagePool':
      case 'flatten':
      case 'batchNorm':
      case 'dropout':
        line(`${name}=${moduleOf(layer)},`);
        break;
    }
  }
  return lines;
}

function moduleOf(layer: Exclude<LayerPlan, { kind: 'fork' | 'join' }>): string {
  switch (layer.kind) {
    case 'conv': {
      const [filters, channels] = layer.weight.shape;
      const { kernel, stride, padding } = layer;
      const strideArgument = stride === 1 ? '' : `, stride=${stride}`;
      const isPadded = !isLopsided(layer) && padding.top + padding.left > 0;
      const paddingArgument = isPadded ? `, padding=(${padding.top}, ${padding.left})` : '';
      return `nn.Conv2d(${channels}, ${filters}, ${kernel}${strideArgument}${paddingArgument})`;
    }
    case 'maxPool':
      return `nn.MaxPool2d(${layer.size})`;
    case 'averagePool':
      return `nn.AvgPool2d((${layer.window.join(', ')}))`;
    case 'flatten':
      return 'nn.Flatten()';
    case 'dense':
      return `nn.Linear(${layer.weight.shape.join(', ')})`;
    case 'batchNorm': {
      const kind = layer.inputShape.length === 1 ? 'BatchNorm1d' : 'BatchNorm2d';
      // PyTorch's momentum is the new value's part.
      const momentum = Number((1 - BATCH_NORM_MOMENTUM).toFixed(6));
      return `nn.${kind}(${layer.inputShape[0]!}, eps=${BATCH_NORM_EPSILON}, momentum=${momentum})`;
    }
    case 'dropout':
      return `nn.Dropout(${layer.rate})`;
  }
}

/** A convolution whose zeros are not as many on both sides: `Conv2d` has no word for that. */
function isLopsided({ padding: { top, left, bottom, right } }: Extract<LayerPlan, { kind: 'conv' }>): boolean {
  return top !== bottom || left !== right;
}

/** The tensors by their names in `state_dict`; those of int64 come first, as `encodeSafetensors` wants it. */
export function stateDict(model: ModelFile): WritableTensor[] {
  const counts: WritableTensor[] = [];
  const tensors: WritableTensor[] = [];
  const blocks: string[] = [];
  for (const layer of nameLayers(model.plan.layers)) {
    if (layer.kind === 'fork') blocks.push(layer.name);
    if (layer.kind === 'join') blocks.pop();
    const path = [...blocks, layer.name].join('.');
    const add = (name: string, shape: readonly number[], values: Float32Array<ArrayBuffer>) =>
      tensors.push({ name: `${path}.${name}`, shape, values });
    if (layer.kind === 'conv') {
      add('weight', layer.weight.shape, valuesOf(model, layer.weight));
      add('bias', layer.bias.shape, valuesOf(model, layer.bias));
    } else if (layer.kind === 'dense') {
      const [inputs, units] = layer.weight.shape as [number, number];
      add('weight', [units, inputs], transpose(valuesOf(model, layer.weight), [inputs, units], [1, 0]));
      add('bias', layer.bias.shape, valuesOf(model, layer.bias));
    } else if (layer.kind === 'batchNorm') {
      add('weight', layer.gamma.shape, valuesOf(model, layer.gamma));
      add('bias', layer.beta.shape, valuesOf(model, layer.beta));
      add('running_mean', layer.mean.shape, valuesOf(model, layer.mean));
      add('running_var', layer.variance.shape, valuesOf(model, layer.variance));
      counts.push({ name: `${path}.num_batches_tracked`, shape: [], values: BigInt64Array.of(BigInt(model.step)) });
    }
  }
  return [...counts, ...tensors];
}
