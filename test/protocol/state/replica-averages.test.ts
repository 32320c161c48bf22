import { describe, expect, test } from 'vitest';
import { createExchange } from '../../../protocol/state/exchange.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { OptimizerConfig } from '../../../protocol/vectors/optimizer.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import { updateAverage } from '../../../protocol/vectors/weight-average.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';

const plan = planModel(MODELS['conv-pool']);
const { numParameters, numBuffers } = plan;
const adam: OptimizerConfig = { ...PLAIN_SGD, name: 'adam' };
const averaging: OptimizerConfig = { ...adam, emaDecay: 0.9, emaEvery: 2 };
const rates = { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 };

/** An averaged [gradient | statistics], another one at each step. */
const averageAt = (step: number) =>
  Float32Array.from({ length: numParameters + numBuffers }, (_, i) => Math.sin(i + 7 * step) ** 2);

function takeSteps(replica: Replica, first: number, last: number): Replica {
  for (let step = first; step <= last; step++) replica.applyUpdate(averageAt(step), rates, step);
  return replica;
}

describe('a replica that averages its weights', () => {
  test('begins with averages equal to its weights, and moves them at every emaEvery-th step by the rule', () => {
    const replica = createReplica(plan, averaging, 1);
    const { averages } = replica;
    expect(averages!.parameters).toEqual(replica.parameters);
    expect(averages!.buffers).toEqual(replica.buffers);
    const [parameters, buffers] = [replica.parameters.slice(), replica.buffers.slice()];
    for (let step = 1; step <= 7; step++) {
      takeSteps(replica, step, step);
      updateAverage(parameters, replica.parameters, averaging, step);
      updateAverage(buffers, replica.buffers, averaging, step);
      expect(averages!.parameters).toEqual(parameters);
      expect(averages!.buffers).toEqual(buffers);
    }
    expect(parameters).not.toEqual(replica.parameters);
    expect(buffers).not.toEqual(replica.buffers);
  });

  test('has them at the end of its state, and all before them as it is without', () => {
    for (const [rule, numVectors] of [
      [PLAIN_SGD, 1],
      [{ ...PLAIN_SGD, momentum: 0.9 }, 2],
      [adam, 3],
    ] as const) {
      const plain = takeSteps(createReplica(plan, rule, 1), 1, 3);
      const replica = takeSteps(createReplica(plan, { ...rule, emaDecay: 0.9, emaEvery: 1 }, 1), 1, 3);
      expect(plain.averages).toBeUndefined();
      expect(plain.state.length).toBe(numVectors * numParameters + numBuffers);
      expect(replica.state.length).toBe((numVectors + 1) * numParameters + 2 * numBuffers);
      expect(replica.state.slice(0, plain.state.length)).toEqual(plain.state);
      const { parameters, buffers } = replica.averages!;
      expect(replica.state.slice(plain.state.length)).toEqual(Float32Array.from([...parameters, ...buffers]));
      expect(replica.parametersSha256()).toBe(plain.parametersSha256());
    }
  });

  test('restored from a snapshot goes on as the original does', () => {
    const original = takeSteps(createReplica(plan, averaging, 1), 1, 3);
    const copy = createReplica(plan, averaging, 99);
    copy.restore(original.state.slice(), 3);
    expect(copy.averages).toEqual(original.averages);
    for (const replica of [original, copy]) takeSteps(replica, 4, 8);
    expect(copy.state).toEqual(original.state);
  });

  test('refuses the snapshot of one that does not', () => {
    const { state } = createReplica(plan, adam, 1);
    expect(() => createReplica(plan, averaging, 1).restore(state, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_MISMATCH' }),
    );
  });
});

describe('the change of a state with averages', () => {
  const [ahead, behind] = [createReplica(plan, averaging, 1), createReplica(plan, averaging, 1)];
  takeSteps(ahead, 1, 4);
  const delta = new Float32Array(ahead.state.length);
  ahead.deltaFrom(behind, delta);

  test('is [parameters, optimizer state, average parameters | buffers, average buffers]', () => {
    const change = (now: Float32Array, before: Float32Array) => now.map((value, i) => value - before[i]!);
    expect(delta.slice(0, numParameters)).toEqual(change(ahead.parameters, behind.parameters));
    const momentsAt = numParameters + numBuffers;
    expect(delta.slice(numParameters, 3 * numParameters)).toEqual(
      ahead.state.slice(momentsAt, momentsAt + 2 * numParameters),
    );
    expect(delta.slice(3 * numParameters, 4 * numParameters)).toEqual(
      change(ahead.averages!.parameters, behind.averages!.parameters),
    );
    const [buffersAt, averagesAt] = [4 * numParameters, 4 * numParameters + numBuffers];
    expect(delta.slice(buffersAt, averagesAt)).toEqual(change(ahead.buffers, behind.buffers));
    expect(delta.slice(averagesAt)).toEqual(change(ahead.averages!.buffers, behind.averages!.buffers));
  });

  test('takes another replica there', () => {
    const follower = createReplica(plan, averaging, 1);
    follower.applyDelta(delta, 1, 4);
    expect(follower.step).toBe(4);
    for (const [i, value] of follower.state.entries()) expect(value).toBeCloseTo(ahead.state[i]!, 6);
    for (const [i, value] of follower.averages!.parameters.entries()) {
      expect(value).toBeCloseTo(ahead.averages!.parameters[i]!, 6);
    }
  });

  test.each(['bf16', 'int8'] as const)('as %s keeps all buffers exact, the averages among them', (wire) => {
    const { layout } = createExchange(behind, 3, 4);
    expect(layout).toEqual({ numParameters: 4 * numParameters, numBuffers: 2 * numBuffers });
    expect(createExchange(createReplica(plan, adam, 1), 3, 4).layout).toEqual({
      numParameters: 3 * numParameters,
      numBuffers,
    });
    const codec = createVectorCodec(wire, layout);
    const payload = new Uint8Array(codec.payloadBytes);
    codec.encode(payload, delta.slice());
    const received = new Float32Array(delta.length);
    codec.decode(received, payload);
    expect(received.slice(-2 * numBuffers)).toEqual(delta.slice(-2 * numBuffers));
    expect(received).not.toEqual(delta);
  });
});
