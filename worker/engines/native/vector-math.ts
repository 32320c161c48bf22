/**
 * The update rules and sums of protocol/state, and the wire's encodings, as the addon's loops: the same bits as their plain TypeScript, faster.
 * See vector-math.h; `test/worker/engines/native/vector-math.test.ts` holds one against the other.
 */
import { clipScale } from '../../../protocol/vectors/clipping.ts';
import type { Optimizer, OptimizerConfig } from '../../../protocol/vectors/optimizer.ts';
import type { VectorMath } from '../../../protocol/vectors/vector-math.ts';
import { createEncoding } from '../../../protocol/vectors/encoding.ts';
import type { CompactFormat, Encoding } from '../../../protocol/vectors/encoding.ts';
import { loadNativeAddon } from './loader.ts';
import type { NativeAddon } from './loader.ts';

/**
 * The addon's loops. `divideVector` wants a divisor below 2^24, so that float32 holds it.
 *
 * Throws `ConfigError` when the addon cannot be had.
 */
export function createNativeVectorMath(addon = loadNativeAddon()): VectorMath {
  const encodings = {
    bf16: { encode: addon.encodeBf16, decode: addon.decodeBf16 },
    f16: { encode: addon.encodeF16, decode: addon.decodeF16 },
    int8: { encode: addon.encodeInt8, decode: addon.decodeInt8 },
  } satisfies Record<CompactFormat, Omit<Encoding, 'encodedBytes'>>;
  return {
    addVectors: addon.addVectors,
    subtractVectors: addon.subtractVectors,
    divideVector: addon.divideVector,
    isFiniteVector: addon.isFiniteVector,
    gatherRows: addon.gatherRows,
    createEncoding: (format) => ({ ...createEncoding(format), ...encodings[format] }),
    createOptimizer: (config) => {
      if (config.name !== 'sgd') return adaptiveMoments(addon, config);
      return config.momentum === 0 ? plainDescent(addon, config) : momentumDescent(addon, config);
    },
  };
}

/** What clipping multiplies a gradient by. The rules do so as they read it, rounding each product as the plain ones do. */
function gradientScaleOf(addon: NativeAddon, { clipNorm }: OptimizerConfig): (gradient: Float32Array) => number {
  return clipNorm === undefined ? () => 1 : (gradient) => clipScale(addon.sumOfSquares(gradient), clipNorm);
}

// Numbers are rounded to float32 by the addon, as the plain rules round them.

function plainDescent(addon: NativeAddon, config: OptimizerConfig): Optimizer {
  const { weightDecay } = config;
  const scaleOf = gradientScaleOf(addon, config);
  return {
    numStateVectors: 0,
    apply: (parameters, gradient, _state, { learningRate }) =>
      addon.descend(parameters, gradient, learningRate, weightDecay, scaleOf(gradient)),
  };
}

function momentumDescent(addon: NativeAddon, config: OptimizerConfig): Optimizer {
  const { weightDecay, momentum, nesterov } = config;
  const scaleOf = gradientScaleOf(addon, config);
  return {
    numStateVectors: 1,
    apply: (parameters, gradient, [velocity], { learningRate }) =>
      addon.descendWithMomentum(
        ...([parameters, gradient, velocity!] as const),
        ...([learningRate, weightDecay, momentum, Number(nesterov), scaleOf(gradient)] as const),
      ),
  };
}

function adaptiveMoments(addon: NativeAddon, config: OptimizerConfig): Optimizer {
  const { name, beta1, beta2, epsilon, weightDecay } = config;
  const scaleOf = gradientScaleOf(addon, config);
  return {
    numStateVectors: 2,
    apply: (parameters, gradient, [first, second], { learningRate, stepSize, secondMomentScale }) => {
      const gradientDecay = name === 'adam' ? weightDecay : 0;
      const parameterDecay = name === 'adamw' ? learningRate * weightDecay : 0;
      addon.adapt(
        ...([parameters, gradient, first!, second!] as const),
        ...([beta1, beta2, 1 - beta1, 1 - beta2] as const),
        ...([epsilon, stepSize, secondMomentScale, gradientDecay, parameterDecay, scaleOf(gradient)] as const),
      );
    },
  };
}
