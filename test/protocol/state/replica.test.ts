import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { OptimizerConfig } from '../../../protocol/state/optimizer.ts';
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
