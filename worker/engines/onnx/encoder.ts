/**
 * Encodes an ONNX graph as the bytes of a ModelProto, which ONNX Runtime loads from memory. Covers the part of the
 * format that our graphs use: dense initialisers, integer and float attributes, tensors with one optional symbolic
 * dimension. It checks nothing: ONNX Runtime does, when it loads the model.
 *
 * Field numbers: onnx.proto of ONNX 1.16 (https://github.com/onnx/onnx/blob/v1.16.0/onnx/onnx.proto).
 */
import { bytesField, floatField, intField, message, textField } from '../../../protocol/protobuf.ts';

/** Opset 17: what these graphs need is stable since 13, and every ONNX Runtime since 1.12 loads it. */
const OPSET_VERSION = 17n;
const IR_VERSION = 8n;

const ELEMENT_TYPES = { float32: 1n, uint8: 2n, int32: 6n, int64: 7n } as const;
const ATTRIBUTE_TYPES = { float: 1n, int: 2n, ints: 7n } as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

/** An integer, a list of integers, or `{ float }`: JavaScript's one number type cannot tell 1 from 1.0. */
export type AttributeValue = number | readonly number[] | { readonly float: number };

export interface OnnxNode {
  /** For people: what tools show. Default: none. */
  readonly name?: string;
  readonly kind: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

export interface OnnxConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | BigInt64Array;
}

/** An input or output of the graph; a dimension given as a string is symbolic: any size. */
export interface OnnxValue {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
  /** For people. Default: none. */
  readonly doc?: string;
}

export interface OnnxGraph {
  readonly name: string;
  /** In an order in which each node's inputs are made before it. */
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxConstant[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** What a model says of itself, for people and for programs that look for it. */
export interface OnnxAbout {
  /** Version of this program. */
  readonly version: string;
  readonly doc: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The graph as a serialised ModelProto, on its own memory. */
export function encodeModel(graph: OnnxGraph, about?: OnnxAbout): Uint8Array {
  const encodedGraph = message(
    ...graph.nodes.map((node) => bytesField(1, encodeNode(node))),
    textField(2, graph.name),
    ...graph.constants.map((constant) => bytesField(5, encodeConstant(constant))),
    ...graph.inputs.map((value) => bytesField(11, encodeValue(value))),
    ...graph.outputs.map((value) => bytesField(12, encodeValue(value))),
  );
  return message(
    intField(1, IR_VERSION),
    textField(2, 'gradsock'),
    ...(about ? [textField(3, about.version), textField(6, about.doc)] : []),
    bytesField(7, encodedGraph),
    // The default operator set has the empty domain, which protobuf leaves out.
    bytesField(8, message(intField(2, OPSET_VERSION))),
    ...Object.entries(about?.metadata ?? {}).map(([key, value]) =>
      bytesField(14, message(textField(1, key), textField(2, value))),
    ),
  );
}

function encodeNode(node: OnnxNode): Uint8Array {
  return message(
    ...node.inputs.map((name) => textField(1, name)),
    ...node.outputs.map((name) => textField(2, name)),
    ...(node.name === undefined ? [] : [textField(3, node.name)]),
    textField(4, node.kind),
    ...Object.entries(node.attributes).map(([name, value]) => bytesField(5, encodeAttribute(name, value))),
  );
}

function encodeAttribute(name: string, value: AttributeValue): Uint8Array {
  if (typeof value === 'number') {
    return message(textField(1, name), intField(3, BigInt(value)), intField(20, ATTRIBUTE_TYPES.int));
  }
  if ('float' in value) {
    return message(textField(1, name), floatField(2, value.float), intField(20, ATTRIBUTE_TYPES.float));
  }
  const items = value.map((item) => intField(8, BigInt(item)));
  return message(textField(1, name), ...items, intField(20, ATTRIBUTE_TYPES.ints));
}

function encodeConstant({ name, shape, values }: OnnxConstant): Uint8Array {
  const type = values instanceof Float32Array ? 'float32' : values instanceof Int32Array ? 'int32' : 'int64';
  return message(
    ...shape.map((size) => intField(1, BigInt(size))),
    intField(2, ELEMENT_TYPES[type]),
    textField(8, name),
    // Raw data is little-endian, as is every machine that ONNX Runtime's package has a binary for.
    bytesField(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );
}

function encodeValue({ name, type, shape, doc }: OnnxValue): Uint8Array {
  const dimensions = shape.map((size) =>
    bytesField(1, message(typeof size === 'string' ? textField(2, size) : intField(1, BigInt(size)))),
  );
  const tensorType = message(intField(1, ELEMENT_TYPES[type]), bytesField(2, message(...dimensions)));
  return message(
    textField(1, name),
    bytesField(2, message(bytesField(1, tensorType))),
    ...(doc === undefined ? [] : [textField(3, doc)]),
  );
}
