import { describe, expect, test } from 'vitest';
import { checkLength, createPredictions, enterPredictions } from '../../coordinator/predictions.ts';

describe('the answer for samples 4 and 5 of 8, in 10 classes,', () => {
  const sound = [9, 0, 0.5, NaN];
  const enter = (payload: readonly number[]) => {
    const predictions = createPredictions(8, 10)!;
    enterPredictions(predictions, { first: 4, count: 2 }, Float32Array.from(payload));
    return predictions;
  };

  test('is entered where they are, losses that are no numbers too', () => {
    const { predicted, losses } = enter(sound);
    expect([...predicted]).toEqual([0, 0, 0, 0, 9, 0, 0, 0]);
    expect([...losses]).toEqual([0, 0, 0, 0, 0.5, NaN, 0, 0]);
  });

  test.each([10, 256, -1, 0.5, NaN, Infinity])('is refused with a class %d', (label) => {
    const message = `sample 5 predicted as class ${label}, expected 0 to 9`;
    expect(() => enter(sound.with(1, label))).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE_MISMATCH', message: expect.stringContaining(message) }),
    );
  });

  test.each([[[]], [sound.slice(1)], [[...sound, 0]], [[...sound, ...sound]]])('is refused as %j', (payload) => {
    const message = `predictions and losses: ${payload.length} number`;
    expect(() => enter(payload)).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE_MISMATCH', message: expect.stringContaining(message) }),
    );
  });
});

test('an answer with predictions that nobody asked for is refused', () => {
  expect(() => checkLength(new Float32Array(0), 0)).not.toThrow();
  expect(() => checkLength(new Float32Array(2), 0)).toThrow(expect.objectContaining({ code: 'ERR_SHAPE_MISMATCH' }));
});
