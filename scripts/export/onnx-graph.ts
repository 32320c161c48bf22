/**
 * A model as an ONNX graph for inference: standard operators, images first batch (NCHW), one node or two for each layer.
 * The graphs that train are next to their engine; they compute more, in another order of axes.
 *
 * Dropout passes its input on in inference: there is no node for it.
 */
import { BATCH_NORM_EPSILON } from '../../protocol/state/model-spec.ts';
import type { TensorSlot } from '../../protocol/state/model-spec.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import type { OnnxConstant, OnnxGraph, OnnxNode } from '../../worker/engines/onnx/encoder.ts';
import type { InputKind } from './exported-model.ts';
import { nameLayers } from './layer-names.ts';
import type { NamedLayer } from './layer-names.ts';
import { valuesOf } from './tensors.ts';

/** Names of the graph's input and outputs, and of the batch's size. */
const [IMAGES, LOGITS, PROBABILITIES, LABEL, BATCH] = ['images', 'logits', 'probabilities', 'label', 'N'] as const;

/** Nodes and constants so far. The value that a node makes is called as the node is. */
interface Graph {
  readonly nodes: OnnxNode[];
  readonly constants: OnnxConstant[];
  /** Returns the value that the node makes. */
  add(name: string, kind: string, inputs: readonly string[], attributes?: OnnxNode['attributes']): string;
  /** Returns the value that holds a slot's numbers. */
  tensor(slot: TensorSlot): string;
}

export function buildInferenceGraph(model: ModelFile, inputKind: InputKind): OnnxGraph {
  const { spec, layers } = model.plan;
  const graph = createGraph(model);
  const forks: string[] = [];
  let value = inputKind === 'bytes' ? scaledImages(graph) : IMAGES;
  for (const layer of nameLayers(layers)) value = addLayer(graph, layer, value, forks);
  // The last node makes `value`, and nothing has read it yet.
  graph.nodes.push({ ...graph.nodes.pop()!, outputs: [LOGITS] });
  graph.add(PROBABILITIES, 'Softmax', [LOGITS], { axis: 1 });
  // Of equal outputs the first, as everywhere in this program.
  graph.add(LABEL, 'ArgMax', [LOGITS], { axis: 1, keepdims: 0 });
  const { nodes, constants } = graph;
  const perClass = [BATCH, spec.numClasses];
  return {
    name: spec.name,
    nodes,
    constants,
    inputs: [
      {
        name: IMAGES,
        type: inputKind === 'bytes' ? 'uint8' : 'float32',
        shape: [BATCH, ...spec.input],
        doc: `images, batch x channels x height x width, ${inputKind === 'bytes' ? '0 to 255' : '0 to 1'}`,
      },
    ],
    outputs: [
      { name: LOGITS, type: 'float32', shape: perClass, doc: 'one output a class, before the softmax' },
      { name: PROBABILITIES, type: 'float32', shape: perClass, doc: 'softmax of the logits' },
      { name: LABEL, type: 'int64', shape: [BATCH], doc: 'index of the most probable class' },
    ],
  };
}

function createGraph(model: ModelFile): Graph {
  const nodes: OnnxNode[] = [];
  const constants: OnnxConstant[] = [];
  return {
    nodes,
    constants,
    add(name, kind, inputs, attributes = {}) {
      nodes.push({ name, kind, inputs, outputs: [name], attributes });
      return name;
    },
    tensor(slot) {
      constants.push({ name: slot.name, shape: slot.shape, values: valuesOf(model, slot) });
      return slot.name;
    },
  };
}

/** Bytes / 255: a division, as engines do it, for equal bits. */
function scaledImages(graph: Graph): string {
  graph.constants.push({ name: 'full', shape: [], values: Float32Array.of(255) });
  const FLOAT32 = 1;
  return graph.add('scaled', 'Div', [graph.add('pixels', 'Cast', [IMAGES], { to: FLOAT32 }), 'full']);
}

/** Returns the layer's output. `forks`: values of the residual blocks that are open. */
function addLayer(graph: Graph, layer: NamedLayer, input: string, forks: string[]): string {
  const { name } = layer;
  const withRelu = (value: string, hasRelu: boolean) => (hasRelu ? graph.add(`${name}.relu`, 'Relu', [value]) : value);
  switch (layer.kind) {
    case 'conv': {
      const { kernel, stride, padding, weight, bias, relu } = layer;
      const inputs = [input, graph.tensor(weight), graph.tensor(bias)];
      return withRelu(
        graph.add(name, 'Conv', inputs, {
          kernel_shape: [kernel, kernel],
          strides: [stride, stride],
          pads: [padding.top, padding.left, padding.bottom, padding.right],
        }),
        relu,
      );
    }
    case 'maxPool': {
      const window = [layer.size, layer.size];
      return graph.add(name, 'MaxPool', [input], { kernel_shape: window, strides: window });
    }
    case 'averagePool':
      return graph.add(name, 'AveragePool', [input], { kernel_shape: layer.window, strides: layer.window });
    case 'flatten':
      return graph.add(name, 'Flatten', [input], { axis: 1 });
    case 'dense':
      return withRelu(
        graph.add(name, 'Gemm', [input, graph.tensor(layer.weight), graph.tensor(layer.bias)]),
        layer.relu,
      );
    case 'batchNorm': {
      const tensors = [layer.gamma, layer.beta, layer.mean, layer.variance].map((slot) => graph.tensor(slot));
      return graph.add(name, 'BatchNormalization', [input, ...tensors], { epsilon: { float: BATCH_NORM_EPSILON } });
    }
    case 'dropout':
      return input;
    case 'fork':
      forks.push(input);
      return input;
    case 'join':
      return withRelu(graph.add(name, 'Add', [forks.pop()!, input]), layer.relu);
  }
}
