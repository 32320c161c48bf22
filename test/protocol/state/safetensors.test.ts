import { describe, expect, test } from 'vitest';
import { initialBuffers, initialParameters, planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import { decodeSafetensors, encodeSafetensors, namedTensors } from '../../../protocol/state/safetensors.ts';

const plan = planModel(MODELS['conv-pool']);
const tensors = namedTensors(plan, initialParameters(plan, 3), initialBuffers(plan));

describe('a safetensors file', () => {
  const file = encodeSafetensors(tensors, { format: 'gradsock' });

  test('gives back every tensor and the metadata', () => {
    const decoded = decodeSafetensors(file, 'm');
    expect([...decoded.tensors.values()]).toEqual(
      tensors.map(({ name, shape, values }) => ({ name, shape, values: values.slice() })),
    );
    expect(decoded.metadata).toEqual({ format: 'gradsock' });
  });

  test('meets what the reference implementation asks of a file', () => {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const headerLength = Number(view.getBigUint64(0, true));
    expect(headerLength % 8).toBe(0);
    expect(file[8]).toBe('{'.charCodeAt(0));
    const header = JSON.parse(Buffer.from(file.subarray(8, 8 + headerLength)).toString()) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    let end = 0;
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__') {
        expect(Object.values(entry).every((value) => typeof value === 'string')).toBe(true);
        continue;
      }
      expect(entry.dtype).toBe('F32');
      expect(entry.data_offsets[0]).toBe(end);
      expect(entry.data_offsets[1] - entry.data_offsets[0]).toBe(4 * entry.shape.reduce((a, b) => a * b, 1));
      end = entry.data_offsets[1];
    }
    expect(8 + headerLength + end).toBe(file.length);
    expect(Object.keys(header)).toContain('norm3.variance');
    expect(header['conv2.weight']!.shape).toEqual([16, 6, 3, 3]);
    expect(header['dense1.weight']!.shape).toEqual([400, 120]);
  });

  test.each<[string, (file: Buffer) => Uint8Array]>([
    ['empty', () => new Uint8Array(0)],
    ['cut short', (bytes) => bytes.subarray(0, -4)],
    ['longer than described', (bytes) => Buffer.concat([bytes, Buffer.alloc(4)])],
    ['given a header length beyond its end', (bytes) => (bytes.writeBigUInt64LE(2n ** 40n), bytes)],
    ['given a tensor that is longer than its shape', (bytes) => withLongerLastTensor(bytes)],
    ['given a header that is no JSON', (bytes) => (bytes.write('x', 9), bytes)],
  ])('%s is refused with its path', (_what, damage) => {
    expect(() => decodeSafetensors(damage(Buffer.from(file)), 'runs/x/model.safetensors')).toThrow(
      /^runs\/x\/model\.safetensors: not a sound safetensors file: /,
    );
  });
});

/** The same file, in which the last tensor has four bytes more. */
function withLongerLastTensor(file: Buffer): Uint8Array {
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  Object.values(header).at(-1)!.data_offsets[1] += 4;
  const changed = Buffer.from(JSON.stringify(header).padEnd(headerLength));
  expect(changed.length).toBe(headerLength);
  return Buffer.concat([file.subarray(0, 8), changed, file.subarray(8 + headerLength), Buffer.alloc(4)]);
}
