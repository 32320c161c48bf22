import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { OptimizerConfig } from '../../../protocol/vectors/optimizer.ts';
import { createReplica } from '../../../protocol/state/replica.ts';

const plan = planModel(MODELS['conv-pool']);
const adam: OptimizerConfig = { ...PLAIN_SGD, name: 'adam' };
const rates = { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 };
const average = Float32Array.from({ length: plan.numParameters + plan.numBuffers }, (_, i) => Math.sin(i));

describe('replicas', () => {
  test('that apply the same updates are equal bit by bit', () => {
    const [a, b] = [createReplica(plan, adam, 1), createReplica(plan, adam, 1)];
    for (const step of [1, 2, 3]) for (const replica of [a, b]) replica.applyUpdate(average, rates, step);
    expect(a.state).toEqual(b.state);
    expect(a.parametersSha256()).toBe(b.parametersSha256());
  });

  test('restored from a snapshot go on as the original does, optimizer state included', () => {
    const original = createReplica(plan, adam, 1);
    original.applyUpdate(average, rates, 1);
    const copy = createReplica(plan, adam, 99);
    copy.restore(original.state, 1);
    for (const replica of [original, copy]) replica.applyUpdate(average, rates, 2);
    expect(copy.state).toEqual(original.state);
    expect(copy.step).toBe(2);
  });

  test('follow another by the change of its whole state', () => {
    const [ahead, behind] = [createReplica(plan, adam, 1), createReplica(plan, adam, 1)];
    for (const step of [1, 2, 3]) ahead.applyUpdate(average, rates, step);
    const delta = new Float32Array(ahead.state.length);
    ahead.deltaFrom(behind, delta);
    // [parameters, optimizer state | buffers]
    const { numParameters, numBuffers } = plan;
    expect(delta[5]).toBe(Math.fround(ahead.parameters[5]! - behind.parameters[5]!));
    expect(delta.subarray(numParameters, 3 * numParameters)).toEqual(ahead.state.slice(numParameters + numBuffers));
    expect(delta.at(-1)).toBe(Math.fround(ahead.buffers.at(-1)! - 1));

    behind.applyDelta(delta, 1, 3);
    expect(behind.step).toBe(3);
    for (const [i, value] of behind.state.entries()) expect(value).toBeCloseTo(ahead.state[i]!, 6);
    expect(() => behind.applyDelta(delta, 3, 1)).toThrow('update 3 does not follow step 3');
    expect(() => behind.applyDelta(average, 4, 1)).toThrow('for a state of');
  });

  test('keep second moments from falling below 0, and nothing else', () => {
    const replica = createReplica(plan, adam, 1);
    replica.applyDelta(new Float32Array(replica.state.length).fill(-(2 ** -20)), 1, 1);
    const { state } = replica;
    expect(state.subarray(-plan.numParameters).every((square) => square === 0)).toBe(true);
    const means = state.subarray(-2 * plan.numParameters, -plan.numParameters);
    expect(means.every((mean) => mean === -(2 ** -20))).toBe(true);
  });

  test('hash their parameters alone, as float32 in layout order', () => {
    const replica = createReplica(plan, adam, 1);
    const { buffer, byteOffset, byteLength } = replica.parameters;
    const expected = createHash('sha256')
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest('hex');
    expect(replica.parametersSha256()).toBe(expected);
    replica.buffers[0] = 5;
    expect(replica.parametersSha256()).toBe(expected);
  });

  test('keep running statistics: 0.9 old + 0.1 batch', () => {
    const replica = createReplica(plan, adam, 1);
    replica.applyUpdate(average, rates, 1);
    const batchMean = average[plan.numParameters]!;
    expect(replica.buffers[0]).toBeCloseTo(0.1 * batchMean, 6);
    expect(replica.buffers[120]).toBeCloseTo(0.9 + 0.1 * average[plan.numParameters + 120]!, 6);
  });

  test('clip the gradient of an update, not its statistics', () => {
    const [clipped, plain] = [{ ...PLAIN_SGD, clipNorm: 2 }, PLAIN_SGD].map((config) => createReplica(plan, config, 1));
    const gradient = average.subarray(0, plan.numParameters);
    const scale = 2 / Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
    clipped!.applyUpdate(average, rates, 1);
    plain!.applyUpdate(
      average.map((value, i) => (i < plan.numParameters ? scale * value : value)),
      rates,
      1,
    );
    for (const [i, value] of clipped!.parameters.entries()) expect(value).toBeCloseTo(plain!.parameters[i]!, 6);
    expect(clipped!.buffers).toEqual(plain!.buffers);
    expect(average[1]).toBe(Math.fround(Math.sin(1)));
  });

  test('refuse an update out of turn, and a snapshot of another size', () => {
    const replica = createReplica(plan, adam, 1);
    expect(() => replica.applyUpdate(average, rates, 2)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_MISMATCH' }),
    );
    expect(() => replica.restore(new Float32Array(3), 1)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_MISMATCH' }),
    );
    expect(replica.step).toBe(0);
  });
});
