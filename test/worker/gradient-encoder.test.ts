import { expect, test } from 'vitest';
import { planModel } from '../../protocol/state/model-spec.ts';
import { plainVectorMath } from '../../protocol/state/vector-math.ts';
import { WIRE_FORMATS } from '../../protocol/wire/encoding.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';
import { createGradientEncoder } from '../../worker/gradient-encoder.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';

const plan = planModel(TINY_MODEL);
const length = plan.numParameters + plan.numBuffers;

function makeEncoder(format: WireFormat) {
  const freed: object[] = [];
  const encoder = createGradientEncoder(format, plan, plainVectorMath, (vector) => void freed.push(vector));
  const codec = createVectorCodec(format, plan);
  const decode = (payload: Uint8Array<ArrayBuffer>) => {
    const vector = new Float32Array(length);
    codec.decode(vector, payload);
    return vector;
  };
  return { encoder, freed, decode, payloadBytes: codec.payloadBytes };
}

const vectorOf = (value: (i: number) => number) => ({ values: Float32Array.from({ length }, (_, i) => value(i)) });

test('f32 sends a vector from where it lies, and frees it when it has arrived', () => {
  const { encoder, freed, decode } = makeEncoder('f32');
  const vector = vectorOf((i) => i / 3);
  const payload = encoder.encode(vector);
  expect(payload.buffer).toBe(vector.values.buffer);
  expect(decode(payload)).toEqual(vector.values);
  expect(freed).toEqual([]);
  encoder.arrived();
  expect(freed).toEqual([vector]);
});

test.each(WIRE_FORMATS.filter((format) => format !== 'f32'))(
  '%s frees a vector at once, and uses a payload again only when it has arrived',
  (format) => {
    const { encoder, freed } = makeEncoder(format);
    const vector = vectorOf((i) => i);
    const first = encoder.encode(vector);
    expect(freed).toEqual([vector]);
    expect(encoder.encode(vectorOf((i) => i)).buffer).not.toBe(first.buffer);
    encoder.arrived();
    const buffers = [1, 2].map(() => encoder.encode(vectorOf((i) => i)).buffer);
    expect(buffers).toContain(first.buffer);
  },
);

test('statistics travel as they are', () => {
  for (const format of WIRE_FORMATS) {
    const { encoder, decode } = makeEncoder(format);
    const vector = vectorOf((i) => Math.fround(1 / (i + 3)));
    const expected = vector.values.slice(plan.numParameters);
    expect(expected.length).toBeGreaterThan(0);
    expect(decode(encoder.encode(vector)).subarray(plan.numParameters)).toEqual(expected);
  }
});

test('int8 makes up for what it rounded away: the sum of many steps is right to one step', () => {
  const { encoder, decode } = makeEncoder('int8');
  // Most values are far below half a step of their block, and would be 0 for ever.
  const value = (i: number) => (i % 100 === 0 ? 1 : 0.001 * ((i % 7) + 1));
  const sum = new Float64Array(length);
  const steps = 200;
  for (let step = 0; step < steps; step++) {
    decode(encoder.encode(vectorOf(value))).forEach((decoded, i) => (sum[i]! += decoded));
    encoder.arrived();
  }
  for (let i = 0; i < plan.numParameters; i++) {
    expect(Math.abs(sum[i]! - steps * Math.fround(value(i)))).toBeLessThan(1.1 / 127);
  }
});

test('a payload is as long as its format says, and another length is refused', () => {
  const perValue = { f32: 4, bf16: 2, f16: 2, int8: 1 };
  for (const format of WIRE_FORMATS) {
    const { payloadBytes, decode } = makeEncoder(format);
    expect(payloadBytes).toBeGreaterThanOrEqual(plan.numParameters * perValue[format] + 4 * plan.numBuffers);
    expect(payloadBytes).toBeLessThan(plan.numParameters * perValue[format] + 4 * plan.numBuffers + 64);
    expect(() => decode(new Uint8Array(payloadBytes + 4))).toThrow(`expected ${payloadBytes}`);
  }
});
