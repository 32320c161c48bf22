/**
 * Collects the nodes of an ONNX graph: each call names the value that it makes, so a graph reads as the formula that it
 * computes. It knows no layers.
 */
import { encodeModel, type AttributeValue, type ElementType, type OnnxGraph, type OnnxValue } from './encoder.ts';

/** The name of a tensor in the graph. */
export type Value = string;

/** What a graph is written for: where the two differ in speed or in kernels, a formula is chosen by it. */
export type GraphTarget = 'cpu' | 'gpu';

type Attributes = Readonly<Record<string, AttributeValue>>;
type Shape = OnnxValue['shape'];

/** ONNX's codes of the types that a Cast can be asked for. */
const CAST_CODES = { float32: 1, int32: 6 } as const;

export interface GraphBuilder {
  readonly target: GraphTarget;
  /** Adds a node with one output; returns the output. */
  op(kind: string, inputs: readonly Value[], attributes?: Attributes): Value;
  cast(value: Value, type: keyof typeof CAST_CODES): Value;
  /** One size may be -1: what the others leave. */
  reshape(value: Value, shape: readonly number[]): Value;
  /** Axis i of the result is axis `permutation[i]` of `value`. */
  transpose(value: Value, permutation: readonly number[]): Value;
  /** A float32 scalar. */
  scalar(value: number): Value;
  /** An int64 list: axes, starts, ends. */
  ints(values: readonly number[]): Value;
  /** An int32 tensor. */
  int32Tensor(values: readonly number[], shape: readonly number[]): Value;
  input(name: string, type: ElementType, shape: Shape): Value;
  /** Makes `value` an output of the graph, called `name`; no value may be two outputs. */
  output(name: string, value: Value, shape: Shape): void;
  /** The graph as the bytes of a model. */
  encode(): Uint8Array;
}

export function createGraphBuilder(graphName: string, target: GraphTarget): GraphBuilder {
  const nodes: OnnxGraph['nodes'][number][] = [];
  const constants = new Map<string, OnnxGraph['constants'][number]>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  /** From the name that a value was made under to its name as an output. */
  const outputNames = new Map<Value, string>();

  /** Equal constants are stored once, under a name made of what they hold. */
  const constant = (values: Float32Array | Int32Array | BigInt64Array, shape: readonly number[]): Value => {
    const name = `${values.constructor.name}[${shape.join()}](${values.join()})`;
    constants.set(name, { name, shape, values });
    return name;
  };
  const ints: GraphBuilder['ints'] = (values) => constant(BigInt64Array.from(values, BigInt), [values.length]);
  const op: GraphBuilder['op'] = (kind, nodeInputs, attributes = {}) => {
    const value = `${kind}-${nodes.length}`;
    nodes.push({ kind, inputs: nodeInputs, outputs: [value], attributes });
    return value;
  };

  return {
    target,
    op,
    ints,
    cast: (value, type) => op('Cast', [value], { to: CAST_CODES[type] }),
    reshape: (value, shape) => op('Reshape', [value, ints(shape)]),
    transpose: (value, permutation) => op('Transpose', [value], { perm: permutation }),
    scalar: (value) => constant(Float32Array.of(value), []),
    int32Tensor: (values, shape) => constant(Int32Array.from(values), shape),
    input(name, type, shape) {
      inputs.push({ name, type, shape });
      return name;
    },
    output(name, value, shape) {
      outputs.push({ name, type: 'float32', shape });
      outputNames.set(value, name);
    },
    encode() {
      const rename = (value: Value): string => outputNames.get(value) ?? value;
      const named = nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map(rename),
        outputs: node.outputs.map(rename),
      }));
      return encodeModel({ name: graphName, nodes: named, constants: [...constants.values()], inputs, outputs });
    },
  };
}
