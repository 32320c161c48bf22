import { describe, expect, test } from 'vitest';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import { describeNonFinite } from '../../../protocol/state/non-finite.ts';
import { isFiniteVector } from '../../../protocol/vectors/vector-math.ts';
import { namedTensors } from '../../../protocol/state/safetensors.ts';

const plan = planModel(MODELS['conv-pool']);
const { numParameters, numBuffers } = plan;

/** [gradient | statistics], finite but in these places. */
const vectorWith = (places: Record<number, number>) => {
  const vector = Float32Array.from({ length: numParameters + numBuffers }, (_, i) => Math.sin(i) * 1e30);
  for (const [place, value] of Object.entries(places)) vector[Number(place)] = value;
  return vector;
};
const slotOf = (name: string) => plan.parameters.find((slot) => slot.name === name)!;

describe('what is not finite', () => {
  test('is nothing, where all is finite', () => {
    expect(describeNonFinite(plan, vectorWith({}))).toBeUndefined();
    expect(describeNonFinite(plan, new Float32Array(numParameters))).toBeUndefined();
  });

  test('is named by the tensor, from its first value to its last', () => {
    const { offset, size } = slotOf('conv2.weight');
    for (const place of [offset, offset + 7, offset + size - 1]) {
      expect(describeNonFinite(plan, vectorWith({ [place]: NaN }))).toBe('the gradient of conv2.weight');
    }
    expect(describeNonFinite(plan, vectorWith({ [offset - 1]: Infinity }))).toBe('the gradient of conv1.bias');
    expect(describeNonFinite(plan, vectorWith({ [offset + size]: -Infinity }))).toBe('the gradient of conv2.bias');
  });

  test('is counted by tensors, the first in layout order named', () => {
    const [bias, weight] = [slotOf('dense1.bias').offset, slotOf('conv1.weight').offset];
    expect(describeNonFinite(plan, vectorWith({ [bias]: NaN, [weight]: NaN, [weight + 1]: NaN }))).toBe(
      'the gradient of conv1.weight (and of 1 more tensor)',
    );
    const all = new Float32Array(numParameters + numBuffers).fill(NaN);
    expect(describeNonFinite(plan, all)).toBe(
      `the gradient of conv1.weight (and of ${plan.parameters.length + plan.buffers.length - 1} more tensors)`,
    );
    expect(describeNonFinite(plan, all.slice(0, numParameters))).toBe(
      `the gradient of conv1.weight (and of ${plan.parameters.length - 1} more tensors)`,
    );
  });

  test('may be a statistic', () => {
    expect(describeNonFinite(plan, vectorWith({ [numParameters]: NaN }))).toBe('the batch statistics of norm1.mean');
    expect(describeNonFinite(plan, vectorWith({ [numParameters + numBuffers - 1]: NaN }))).toBe(
      'the batch statistics of norm3.variance',
    );
  });

  test('has the names that model.safetensors has, each tensor in its turn', () => {
    const vector = vectorWith({});
    const tensors = namedTensors(plan, vector.subarray(0, numParameters), vector.subarray(numParameters));
    for (const { name, values } of tensors) {
      const before = values[0]!;
      values[0] = NaN;
      expect(describeNonFinite(plan, vector)).toMatch(new RegExp(`^the (gradient|batch statistics) of ${name}$`));
      values[0] = before;
    }
  });

  test('can only be told of vectors of this model', () => {
    expect(() => describeNonFinite(plan, new Float32Array(numParameters + 1))).toThrow('internal: cannot name');
  });
});

describe('the check of a whole vector', () => {
  test('is true of what is finite, however large or small, and of nothing', () => {
    const extremes = [0, -0, 3.4028234663852886e38, -3.4028234663852886e38, 2 ** -149, -(2 ** -149), 2 ** -126];
    for (const values of [[], extremes, [2 ** 127, 2 ** 127]]) {
      expect(isFiniteVector(Float32Array.from(values))).toBe(true);
    }
  });

  test.each([NaN, Infinity, -Infinity])('finds %d wherever it is', (poison) => {
    for (const length of [1, 2, 17, 33, 64]) {
      for (let i = 0; i < length; i++) expect(isFiniteVector(new Float32Array(length).with(i, poison))).toBe(false);
    }
  });
});
