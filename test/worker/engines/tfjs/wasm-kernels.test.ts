import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { maxPoolByComparison, maxPoolByKernel } from '../../../../worker/engines/tfjs/layers.ts';
import { startBackend } from '../../../../worker/engines/tfjs/loader.ts';

type FourNumbers = [number, number, number, number];

/** Whole numbers from -9 to 9: sums of their products are exact, and many are equal. */
function whole(shape: readonly number[], seed: number): tf.Tensor4D {
  return tf.round(tf.randomUniform<tf.Rank.R4>([...shape] as FourNumbers, -9, 9, 'float32', seed));
}

/** Evaluates on a backend; both are started. A zero has no sign here. */
function on(backend: 'wasm' | 'cpu', compute: () => tf.Tensor): number[] {
  void tf.setBackend(backend);
  return tf.tidy(() => [...compute().dataSync()]).map((value) => value + 0);
}

describe('the kernels for wasm', () => {
  beforeAll(async () => {
    await startBackend('cpu', 1);
    await startBackend('wasm', 1);
  });

  // [samples, height, width, channels], kernel [height, width], filters, strides [of rows, of columns]
  it.each([
    [[1, 1, 1, 1], [1, 1], 1, [1, 1]],
    [[3, 7, 5, 2], [3, 3], 4, [1, 1]],
    [[5, 6, 9, 3], [1, 4], 1, [1, 1]],
    [[2, 5, 5, 1], [5, 5], 7, [1, 1]],
    [[4, 8, 3, 5], [2, 3], 6, [1, 1]],
    [[33, 11, 13, 3], [5, 5], 17, [1, 1]],
    // Windows that reach the last row and column, that leave some out, that leave out every other, and a single one.
    [[3, 7, 9, 2], [3, 3], 4, [2, 2]],
    [[3, 8, 10, 2], [3, 2], 5, [2, 3]],
    [[2, 6, 7, 3], [1, 1], 4, [2, 3]],
    [[2, 4, 4, 1], [3, 3], 2, [3, 3]],
    [[17, 13, 12, 3], [5, 5], 9, [2, 2]],
  ] as const)(
    'the gradients of a convolution of %j with %j x %i, strides %j, equal those of the cpu',
    (input, kernel, filters, strides) => {
      const gradients = (wanted: 'filter' | 'input') => () => {
        const [samples, height, width, channels] = input;
        const x = whole(input, 1);
        const filter = whole([...kernel, channels, filters], 2);
        const rows = Math.floor((height - kernel[0]) / strides[0]) + 1;
        const columns = Math.floor((width - kernel[1]) / strides[1]) + 1;
        const upstream = whole([samples, rows, columns, filters], 3);
        const convolution = tf.grads((a, b) => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, [...strides], 'valid'));
        const [ofInput, ofFilter] = convolution([x, filter], upstream);
        return wanted === 'filter' ? ofFilter! : ofInput!;
      };
      for (const wanted of ['filter', 'input'] as const) {
        expect(on('wasm', gradients(wanted)), wanted).toEqual(on('cpu', gradients(wanted)));
      }
    },
  );

  it('the gradient of a filter is refused for a convolution that pads', () => {
    const padded = tf.grad((filter) => tf.conv2d(tf.ones<tf.Rank.R4>([1, 5, 5, 1]), filter as tf.Tensor4D, 1, 'same'));
    expect(() => on('wasm', () => padded(tf.ones([3, 3, 1, 1])))).toThrow('only without padding');
  });

  it('a convolution that is padded has the gradient of its input from the kernel that was there', () => {
    const padded = () =>
      tf.grad((x) => tf.conv2d(x as tf.Tensor4D, whole([3, 3, 2, 4], 1), 1, 'same'))(
        whole([2, 6, 5, 2], 2),
        whole([2, 6, 5, 4], 3),
      );
    expect(on('wasm', padded)).toEqual(on('cpu', padded));
  });

  it.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('matrix products, transposed or not, equal those of the cpu: %s, %s', (transposeA, transposeB) => {
    for (const batch of [[], [3]]) {
      const product = () => {
        const a = whole(transposeA ? [...batch, 5, 4] : [...batch, 4, 5], 1) as tf.Tensor;
        const b = whole(transposeB ? [...batch, 7, 5] : [...batch, 5, 7], 2) as tf.Tensor;
        return tf.matMul(a, b, transposeA, transposeB);
      };
      expect(on('wasm', product)).toEqual(on('cpu', product));
    }
  });

  it.each([
    [2, [3, 6, 8, 5]],
    [2, [2, 7, 5, 1]],
    [3, [1, 11, 10, 2]],
    [4, [2, 4, 4, 3]],
  ] as const)(
    'of equal entries in a pool of %i over %j the first takes the gradient, however it is made',
    (size, shape) => {
      const [samples, height, width, channels] = shape;
      const upstreamShape = [samples, Math.floor(height / size), Math.floor(width / size), channels];
      const gradient = (pool: typeof maxPoolByKernel) => () =>
        tf.grad((x) => pool(x as tf.Tensor4D, size))(tf.sign(whole(shape, 1)), whole(upstreamShape, 2));
      const expected = on('cpu', gradient(maxPoolByKernel));
      expect(on('wasm', gradient(maxPoolByKernel))).toEqual(expected);
      for (const backend of ['wasm', 'cpu'] as const)
        expect(on(backend, gradient(maxPoolByComparison))).toEqual(expected);
    },
  );

  it('pools that overlap keep the kernel that was there', () => {
    const overlapping = () =>
      tf.grad((x) => tf.maxPool(x as tf.Tensor4D, 3, 1, 'valid'))(
        tf.reshape(tf.range(0, 25), [1, 5, 5, 1]),
        whole([1, 3, 3, 1], 1),
      );
    expect(on('wasm', overlapping)).toEqual(on('cpu', overlapping));
  });
});
