/**
 * The safetensors file format, written for tensors of float32 and int64, and read for float32.
 *
 *     8 bytes   N, little-endian
 *     N bytes   JSON: {"name": {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}, ...}, padded with spaces
 *     the rest  the tensors, little-endian, in the order of their offsets, without gaps
 *
 * Source: the format's description, https://github.com/huggingface/safetensors#format. This module touches no files.
 */
import { countOf } from '../counts.ts';
import { ConfigError, describeError } from '../errors.ts';
import { product, slotView } from './model-spec.ts';
import type { ModelPlan } from './model-spec.ts';

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** A tensor to be written: float32, or int64. */
export interface WritableTensor extends Omit<NamedTensor, 'values'> {
  readonly values: NamedTensor['values'] | BigInt64Array<ArrayBuffer>;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000; // the format's own limit

/**
 * The bytes of a file that holds these tensors; `metadata` goes into its `__metadata__`. The caller puts tensors of
 * int64 before those of float32: PyTorch wants each at a multiple of its element's bytes.
 */
export function encodeSafetensors(tensors: readonly WritableTensor[], metadata: Record<string, string>): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    const end = offset + values.byteLength;
    entries[name] = { dtype: values instanceof Float32Array ? 'F32' : 'I64', shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const headerLength = Math.ceil(json.length / 8) * 8; // spaces up to here keep the tensors aligned
  const file = Buffer.alloc(LENGTH_BYTES + headerLength + offset, ' ');
  file.writeBigUInt64LE(BigInt(headerLength));
  json.copy(file, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerLength;
  for (const { values } of tensors) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return file;
}

/**
 * The tensors and metadata of a file's bytes. Throws `ConfigError` that starts with `path` when they are not sound.
 *
 * `check`: is given the metadata before any tensor is read, and may throw. Default: any will do.
 */
export function decodeSafetensors(
  file: Uint8Array,
  path: string,
  check: (metadata: Readonly<Record<string, string | undefined>>) => void = () => {},
): { tensors: Map<string, NamedTensor>; metadata: Record<string, string> } {
  const fail = (why: string): never => {
    throw new ConfigError(`${path}: not a sound safetensors file: ${why}`);
  };
  if (file.length < LENGTH_BYTES) fail(`${countOf(file.length, 'byte')}, expected more`);
  const headerLength = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (headerLength > Math.min(MAX_HEADER_BYTES, file.length - LENGTH_BYTES))
    fail(`a header of ${countOf(headerLength, 'byte')}`);
  const body = file.subarray(LENGTH_BYTES + headerLength);

  let header: Record<string, { dtype?: unknown; shape?: unknown; data_offsets?: unknown }> = {};
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(
      file.subarray(LENGTH_BYTES, LENGTH_BYTES + headerLength),
    );
    header = JSON.parse(text) as typeof header;
  } catch (error) {
    fail(describeError(error));
  }
  const { __metadata__: metadata = {}, ...entries } = header;
  check(metadata as Record<string, string>);
  const tensors = new Map<string, NamedTensor>();
  let expectedBegin = 0;
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    if (dtype !== 'F32') fail(`${name} is ${String(dtype)}, expected F32`);
    if (!isNumbers(shape) || !isNumbers(offsets)) return fail(`${name} has no shape or offsets`);
    const [begin, end] = offsets;
    if (begin !== expectedBegin || end! - begin !== 4 * product(shape) || end! > body.length) {
      fail(`${name} lies at ${begin} to ${end}`);
    }
    // A copy, for alignment; not `slice`, which in a Buffer is a view.
    const values = new Float32Array(new Uint8Array(body.subarray(begin, end)).buffer);
    tensors.set(name, { name, shape, values });
    expectedBegin = end!;
  }
  if (expectedBegin !== body.length) fail(`${countOf(body.length, 'byte')} of tensors, described are ${expectedBegin}`);
  return { tensors, metadata: metadata as Record<string, string> };
}

/** A model's tensors by name, parameters and buffers, as views: `conv1.weight`, ..., `norm1.variance`. */
export function namedTensors(
  plan: ModelPlan,
  parameters: Float32Array<ArrayBuffer>,
  buffers: Float32Array<ArrayBuffer>,
): NamedTensor[] {
  const named = (flat: Float32Array<ArrayBuffer>) => (slot: (typeof plan.parameters)[number]) => ({
    name: slot.name,
    shape: slot.shape,
    values: slotView(flat, slot),
  });
  return [...plan.parameters.map(named(parameters)), ...plan.buffers.map(named(buffers))];
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry));
}
