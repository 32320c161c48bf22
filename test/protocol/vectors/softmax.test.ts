import { expect, test } from 'vitest';
import { argmax, predict, softmax } from '../../../protocol/vectors/softmax.ts';

function predictOne(outputs: readonly number[], label: number) {
  const [predicted, losses] = [new Float64Array(1), new Float64Array(1)];
  predict(Float32Array.from(outputs), Uint8Array.of(label), outputs.length, { predicted, losses });
  return { predicted: predicted[0], loss: losses[0]! };
}

test('the loss is the logarithm of the softmax, and the prediction the largest output', () => {
  const outputs = [0.5, -1.25, 3, 2.5];
  const probabilities = softmax(Float32Array.from(outputs));
  expect(probabilities.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 14);
  outputs.forEach((_, label) => {
    const { predicted, loss } = predictOne(outputs, label);
    expect(predicted).toBe(2);
    expect(loss).toBeCloseTo(-Math.log(probabilities[label]!), 14);
  });
});

test('of equal outputs the first is predicted', () => {
  expect(predictOne([1, 4, 4, 4], 0).predicted).toBe(1);
  expect(argmax(Float32Array.of(0, 0, 0))).toBe(0);
  // Their probabilities are the same number, they are not.
  expect(predictOne([1e-30, 2e-30], 0).predicted).toBe(1);
});

test('the loss is finite where the probability is 0, or an exponential would overflow', () => {
  expect(predictOne([-1000, 0], 0).loss).toBe(1000);
  expect(predictOne([1000, 0], 0).loss).toBe(0);
  expect(softmax(Float32Array.of(-1000, 0))[0]).toBe(0);
});

test('outputs that are no numbers give a class and a loss that is none', () => {
  expect(predictOne([NaN, NaN], 1)).toEqual({ predicted: 0, loss: NaN });
  expect(predictOne([0, Infinity, NaN], 0)).toEqual({ predicted: 1, loss: NaN });
  expect(predictOne([0, -Infinity], 1)).toEqual({ predicted: 0, loss: Infinity });
});

test('each sample has its own, and what is beyond them is left alone', () => {
  const [predicted, losses] = [new Float32Array(3).fill(7), new Float32Array(3).fill(7)];
  predict(Float32Array.of(0, 1, 1, 0, 9, 9), Uint8Array.of(1, 1), 2, { predicted, losses });
  expect([...predicted]).toEqual([1, 0, 7]);
  expect(losses[0]).toBeCloseTo(Math.log(1 + Math.exp(-1)), 6);
  expect(losses[1]).toBeCloseTo(Math.log(1 + Math.exp(1)), 6);
  expect(losses[2]).toBe(7);
});
