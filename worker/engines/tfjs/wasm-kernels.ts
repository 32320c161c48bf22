/**
 * Kernels of TensorFlow.js's wasm backend: the one that training a convolution misses, one that is wrong, and two that
 * are several times slower than a way around them. What is registered here holds for the process.
 *
 * The backend computes `Conv2D` and the product of two matrices as they lie in XNNPACK; all else is plain loops. So the
 * slow ones and the missing one are brought to one of these two. Milliseconds before and after, one thread, batch 256,
 * on the shapes of the model `conv`: matrix products of the gradient 164 -> 21, of a convolution's input 78 -> 13. The
 * gradient of a filter takes 23 so, and 144 as a sum of matrix products over the filter's positions.
 *
 * Axes: B batch, H rows, W columns, I channels in, O channels out; h, w positions within a filter; y, x of an output.
 */
import * as tf from '@tensorflow/tfjs';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';

const BACKEND = 'wasm';

/** What a kernel in TypeScript needs of the backend: tensors as views of the module's memory. */
export type WasmMemory = Pick<BackendWasm, 'makeOutput' | 'typedArrayFromHeap'>;

type FourNumbers = [number, number, number, number];
type KernelArguments = Parameters<tf.KernelFunc>[0];

interface ConvolutionAttributes {
  readonly strides: number | readonly number[];
  readonly pad: unknown;
  readonly dataFormat: string;
}

interface PoolAttributes {
  readonly filterSize: number | readonly number[];
  readonly strides: number | readonly number[];
  readonly pad: unknown;
}

let isRegistered = false;

/** Registers the kernels; a second time: nothing. The wasm backend must have been started. */
export function registerWasmKernels(): void {
  if (isRegistered) return;
  isRegistered = true;
  if (!tf.getKernelsForBackend(BACKEND).some(({ kernelName }) => kernelName === 'Conv2DBackpropFilter')) {
    tf.registerKernel({ kernelName: 'Conv2DBackpropFilter', backendName: BACKEND, kernelFunc: filterGradient });
  }
  replaceKernel('Conv2DBackpropInput', inputGradient);
  replaceKernel('BatchMatMul', matrixProduct);
  replaceKernel('MaxPoolGrad', maxPoolGradient);
}

/**
 * The gradient of a convolution's filter, as a convolution. With X the input, dY the gradient of the output, S the stride:
 *
 *     Y[b,y,x,o] = sum_{h,w,i} X[b,yS+h,xS+w,i] F[h,w,i,o]
 *     dF[h,w,i,o] = sum_{b,y,x} X[b,yS+h,xS+w,i] dY[b,y,x,o]
 *
 * The second line is a convolution too: X's channels are its batch, samples are the channels summed over, and dY is a
 * filter as large as the output, whose entries meet X at a distance of S (a dilation). So, with X as IHWB and dY as yxBO,
 * it gives dF as IhwO; X is cut to what the windows reach, for dF to have the filter's height and width.
 */
function filterGradient({ inputs, attrs }: KernelArguments): tf.TensorInfo {
  if (!isUnpadded(attrs)) throw new Error('Conv2DBackpropFilter on wasm: only without padding, channels last');
  const { filterShape, strides } = attrs as unknown as {
    filterShape: FourNumbers;
    strides: ConvolutionAttributes['strides'];
  };
  const [rowStride, columnStride] = pairOf(strides);
  const [x_BHWI, dy_ByxO] = [inputs['x'] as tf.Tensor4D, inputs['dy'] as tf.Tensor4D];
  const [batch, rows, columns] = dy_ByxO.shape;
  const reached = [(rows - 1) * rowStride + filterShape[0], (columns - 1) * columnStride + filterShape[1]] as const;
  const isReached = x_BHWI.shape[1] === reached[0] && x_BHWI.shape[2] === reached[1];
  return tf.tidy(() => {
    const reached_BHWI = isReached ? x_BHWI : tf.slice(x_BHWI, [0, 0, 0, 0], [batch, ...reached, x_BHWI.shape[3]]);
    const x_IHWB = tf.transpose(reached_BHWI, [3, 1, 2, 0]);
    const dy_yxBO = tf.transpose(dy_ByxO, [1, 2, 0, 3]);
    const dF_IhwO = tf.conv2d(x_IHWB, dy_yxBO, 1, 'valid', 'NHWC', [rowStride, columnStride]);
    return tf.transpose(dF_IhwO, [1, 2, 0, 3]);
  });
}

/**
 * The gradient of a convolution's input, as a convolution of dY, padded, with the filter turned by half a turn:
 *
 *     dX[b,r,c,i] = sum_{h,w,o} dY'[b,r-h,c-w,o] F[h,w,i,o],  dY' = 0 outside of its map
 *
 * dY' is dY, its entries put apart by the stride. With h' = k-1-h and dY' padded by k-1 before and as much behind as X has
 * rows for, the row r-h of dY' is the row r+h' of the padded one.
 *
 * At stride 2 too that is faster than the backend's kernel, though three quarters of dY' are zeros: 47 ms in place of 163,
 * for a map of 33x33x16, batch 64, and 32 filters of 3x3.
 */
function inputGradient(original: tf.KernelFunc, args: KernelArguments): ReturnType<tf.KernelFunc> {
  if (!isUnpadded(args.attrs)) return original(args);
  const { inputShape, strides } = args.attrs as unknown as ConvolutionAttributes & { inputShape: FourNumbers };
  const [dy_ByxO, filter_hwIO] = [args.inputs['dy'] as tf.Tensor4D, args.inputs['filter'] as tf.Tensor4D];
  const [height, width] = filter_hwIO.shape;
  return tf.tidy(() => {
    const apart = putApart(dy_ByxO, pairOf(strides));
    const padded = tf.pad(apart, [
      [0, 0],
      [height - 1, inputShape[1] - apart.shape[1]],
      [width - 1, inputShape[2] - apart.shape[2]],
      [0, 0],
    ]);
    const turned_hwOI = tf.transpose(tf.reverse(filter_hwIO, [0, 1]), [0, 1, 3, 2]);
    return tf.conv2d(padded, turned_hwOI, 1, 'valid');
  });
}

/** Puts zeros between rows and between columns: neighbours are then `rowStride` and `columnStride` apart. */
function putApart(map_ByxO: tf.Tensor4D, [rowStride, columnStride]: readonly [number, number]): tf.Tensor4D {
  if (rowStride === 1 && columnStride === 1) return map_ByxO;
  const [batch, rows, columns, channels] = map_ByxO.shape;
  // Zeros go behind each column's channels, then behind each row; the last of both are cut off.
  const byColumn = tf.reshape(map_ByxO, [batch * rows * columns, channels]);
  const withColumns = tf.pad(byColumn, [
    [0, 0],
    [0, (columnStride - 1) * channels],
  ]);
  const rowSize = columns * columnStride * channels;
  const withRows = tf.pad(tf.reshape(withColumns, [batch * rows, rowSize]), [
    [0, 0],
    [0, (rowStride - 1) * rowSize],
  ]);
  const all = tf.reshape<tf.Rank.R4>(withRows, [batch, rows * rowStride, columns * columnStride, channels]);
  const [lastRow, lastColumn] = [(rows - 1) * rowStride, (columns - 1) * columnStride];
  return tf.slice<tf.Rank.R4, tf.Tensor4D>(all, [0, 0, 0, 0], [batch, lastRow + 1, lastColumn + 1, channels]);
}

/** A product of transposed matrices, by transposing them first: XNNPACK takes them only as they lie. */
function matrixProduct(original: tf.KernelFunc, args: KernelArguments): ReturnType<tf.KernelFunc> {
  const { inputs, attrs, backend } = args;
  const { transposeA, transposeB } = attrs as unknown as { transposeA: boolean; transposeB: boolean };
  if (!transposeA && !transposeB) return original(args);
  const turned = {
    a: transposeA ? transposeMatrices(inputs['a'] as tf.Tensor) : inputs['a'],
    b: transposeB ? transposeMatrices(inputs['b'] as tf.Tensor) : inputs['b'],
  };
  const product = original({ inputs: turned, attrs: { transposeA: false, transposeB: false }, backend });
  if (transposeA) tf.dispose(turned.a as tf.Tensor);
  if (transposeB) tf.dispose(turned.b as tf.Tensor);
  return product;
}

/**
 * The gradient of a max pool whose windows do not overlap: each output's goes to the largest entry of its window, of
 * equal ones to the first in row-major order. The backend's own kernel gives it to others too.
 *
 * A loop in TypeScript over the module's memory: on a map of 22x22x16, batch 256, forward and backward take 26 ms so,
 * and 162 by comparing slices.
 */
function maxPoolGradient(original: tf.KernelFunc, args: KernelArguments): ReturnType<tf.KernelFunc> {
  const { filterSize, strides, pad } = args.attrs as unknown as PoolAttributes;
  const [size, ...others] = [filterSize, strides].flat() as [number, ...number[]];
  if (pad !== 'valid' || others.some((other) => other !== size)) return original(args);

  const [batch, height, width, channels] = args.inputs['input']!.shape as FourNumbers;
  const [, rows, columns] = args.inputs['dy']!.shape as FourNumbers;
  const memory = args.backend as WasmMemory;
  const result = memory.makeOutput(args.inputs['input']!.shape, 'float32');
  // Views only now: to make room for the result, the memory may have moved.
  const valuesOf = (tensor: tf.TensorInfo): Float32Array => memory.typedArrayFromHeap(tensor) as Float32Array;
  const [values, gradients] = [valuesOf(args.inputs['input']!), valuesOf(args.inputs['dy']!)];
  const inputGradients = valuesOf(result).fill(0);
  let at = 0;
  for (let image = 0; image < batch; image++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const corner = ((image * height + y * size) * width + x * size) * channels;
        for (let channel = 0; channel < channels; channel++) {
          let largest = corner + channel;
          for (let i = 0; i < size; i++) {
            for (let j = 0; j < size; j++) {
              const entry = corner + channel + (i * width + j) * channels;
              if (values[entry]! > values[largest]!) largest = entry;
            }
          }
          inputGradients[largest] = gradients[at++]!;
        }
      }
    }
  }
  return result;
}

/** Swaps the last two axes. */
function transposeMatrices(matrices: tf.Tensor): tf.Tensor {
  const axes = matrices.shape.map((_, axis) => axis);
  return tf.transpose(matrices, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/** Puts `replacement` in the place of a kernel; it may fall back on the kernel that was there. */
function replaceKernel(
  kernelName: string,
  replacement: (original: tf.KernelFunc, args: KernelArguments) => ReturnType<tf.KernelFunc>,
): void {
  const original = tf.getKernel(kernelName, BACKEND);
  tf.unregisterKernel(kernelName, BACKEND);
  tf.registerKernel({ ...original, kernelFunc: (args) => replacement(original.kernelFunc, args) });
}

/** Whether it is a convolution such as `layers.ts` makes. */
function isUnpadded(attributes: KernelArguments['attrs']): boolean {
  const { pad, dataFormat } = attributes as unknown as ConvolutionAttributes;
  return pad === 'valid' && dataFormat === 'NHWC';
}

/** [of rows, of columns]. */
function pairOf(strides: ConvolutionAttributes['strides']): [number, number] {
  const [ofRows, ofColumns = ofRows] = [strides].flat() as [number, number?];
  return [ofRows, ofColumns];
}
