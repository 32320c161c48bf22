import { expect, test } from 'vitest';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { plainVectorMath } from '../../../protocol/vectors/vector-math.ts';
import { BLOCK, WIRE_FORMATS } from '../../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';
import { cutIntoBuckets } from '../../../protocol/vectors/buckets.ts';
import { createAverageReader } from '../../../worker/step/average-reader.ts';
import { createGradientEncoder } from '../../../worker/step/gradient-encoder.ts';
import { TINY_MODEL } from '../../helpers/cluster.ts';

const plan = planModel(TINY_MODEL);
/** Of five blocks, the last one short, and five statistics. */
const bigPlan = { numParameters: 4 * BLOCK + 1000, numBuffers: 5 };
const length = plan.numParameters + plan.numBuffers;

function makeEncoder(format: WireFormat) {
  const encoder = createGradientEncoder(format, plan, plainVectorMath);
  const codec = createVectorCodec(format, plan);
  const decode = (payload: Uint8Array<ArrayBuffer>) => {
    const vector = new Float32Array(length);
    codec.decode(vector, payload);
    return vector;
  };
  const encode = (vector: Float32Array<ArrayBuffer>) => encoder.encode(vector, 1)[0]!;
  return { encoder, encode, decode, payloadBytes: codec.payloadBytes };
}

const vectorOf = (value: (i: number) => number) => Float32Array.from({ length }, (_, i) => value(i));

test('f32 sends a vector from where it lies, and hands it out again when it has arrived', () => {
  const { encoder, encode, decode } = makeEncoder('f32');
  const vector = encoder.take();
  vector.set(vectorOf((i) => i / 3));
  const payload = encode(vector);
  expect(payload.buffer).toBe(vector.buffer);
  expect(decode(payload)).toEqual(vector);
  expect(encoder.take()).not.toBe(vector);
  encoder.arrived();
  expect(encoder.take()).toBe(vector);
});

test.each(WIRE_FORMATS.filter((format) => format !== 'f32'))(
  '%s frees a vector at once, and uses a payload again only when it has arrived',
  (format) => {
    const { encoder, encode } = makeEncoder(format);
    const vector = encoder.take();
    const first = encode(vector);
    expect(encoder.take()).toBe(vector);
    expect(encode(vectorOf((i) => i)).buffer).not.toBe(first.buffer);
    encoder.arrived();
    const buffers = [1, 2].map(() => encode(vectorOf((i) => i)).buffer);
    expect(buffers).toContain(first.buffer);
  },
);

test.each(WIRE_FORMATS)('%s in buckets decodes to what it does in one', (format) => {
  const cuts = cutIntoBuckets(bigPlan, 3);
  expect(cuts.map(({ first }) => first)).toEqual([4 * BLOCK, 2 * BLOCK, 0]);
  const values = Float32Array.from({ length: 4 * BLOCK + 1005 }, (_, i) => Math.sin(i) * (1 + Math.floor(i / BLOCK)));
  const decoded = [1, 3].map((numBuckets) => {
    const encoder = createGradientEncoder(format, bigPlan, plainVectorMath);
    const reader = createAverageReader(format, bigPlan, plainVectorMath);
    reader.expect(numBuckets);
    const payloads = encoder.encode(values.slice(), numBuckets);
    expect(payloads.length).toBe(numBuckets);
    const last = payloads.pop()!;
    payloads.forEach((payload, bucket) => reader.add(bucket, payload));
    return reader.finish(last).slice();
  });
  expect(decoded[1]).toEqual(decoded[0]);
});

test.each(['bf16', 'f16'] as const)('%s decoded run by run is what it is at once', (format) => {
  const codec = createVectorCodec(format, bigPlan);
  const values = Float32Array.from({ length: 4 * BLOCK + 1005 }, (_, i) => Math.sin(i) * (1 + (i % 7)));
  const payload = new Uint8Array(codec.payloadBytes);
  codec.encode(payload, values);
  const atOnce = new Float32Array(values.length);
  codec.decode(atOnce, payload);
  // The last run begins among the statistics, the one before ends there.
  for (const runs of [
    [0, 4 * BLOCK, values.length],
    [0, 2, 4 * BLOCK + 1002, values.length],
  ]) {
    const byRuns = new Float32Array(values.length);
    runs.slice(1).forEach((end, i) => codec.decodeRun!(byRuns.subarray(runs[i], end), payload, runs[i]!));
    expect(byRuns).toEqual(atOnce);
  }
});

test('statistics travel as they are', () => {
  for (const format of WIRE_FORMATS) {
    const { encode, decode } = makeEncoder(format);
    const vector = vectorOf((i) => Math.fround(1 / (i + 3)));
    const expected = vector.slice(plan.numParameters);
    expect(expected.length).toBeGreaterThan(0);
    expect(decode(encode(vector)).subarray(plan.numParameters)).toEqual(expected);
  }
});

test('int8 makes up for what it rounded away: the sum of many steps is right to one step', () => {
  const { encoder, encode, decode } = makeEncoder('int8');
  // Most values are far below half a step of their block, and would be 0 for ever.
  const value = (i: number) => (i % 100 === 0 ? 1 : 0.001 * ((i % 7) + 1));
  const sum = new Float64Array(length);
  const steps = 200;
  for (let step = 0; step < steps; step++) {
    decode(encode(vectorOf(value))).forEach((decoded, i) => (sum[i]! += decoded));
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
