/**
 * Optimizer rules: how an averaged gradient changes the parameters. Every replica runs this code on the same bits.
 *
 * Only + - * / and Math.sqrt, each rounded to float32 (`f` below): exact everywhere, so replicas stay bit-identical.
 * Whatever needs more (powers, cosines) is computed once by the coordinator and arrives as `UpdateRates`.
 */
import { z } from 'zod';
import { clipScale, sumOfSquares } from './clipping.ts';

export const optimizerConfigSchema = z.strictObject({
  name: z.enum(['sgd', 'adam', 'adamw']),
  /** sgd: the momentum factor, 0 for plain descent; and whether to look ahead (Nesterov). */
  momentum: z.number().min(0).lt(1),
  nesterov: z.boolean(),
  /** sgd and adam add weightDecay x parameter to the gradient; adamw shrinks parameters by rate x weightDecay. */
  weightDecay: z.number().min(0),
  /** adam and adamw: decay of the first and the second moment, and the term that keeps the division finite. */
  beta1: z.number().min(0).lt(1),
  beta2: z.number().min(0).lt(1),
  epsilon: z.number().gt(0),
  /** The gradient's largest L2 norm over all parameters: a longer one is scaled down to it. Any, when absent. */
  clipNorm: z.number().gt(0).optional(),
  /** Decay of the weights' averages, updated every `emaEvery` steps; see `weight-average.ts`. None, when absent. */
  emaDecay: z.number().gt(0).lt(1).optional(),
  emaEvery: z.int().min(1).optional(),
});

export type OptimizerConfig = Readonly<z.infer<typeof optimizerConfigSchema>>;
export type OptimizerName = OptimizerConfig['name'];

/** The numbers of one update that every replica must share; see {@link updateRates}. */
export const updateRatesSchema = z.strictObject({
  learningRate: z.number(),
  /** learningRate with the first moment's bias correction. */
  stepSize: z.number(),
  /** 1 / sqrt of the second moment's bias correction. */
  secondMomentScale: z.number(),
});

export type UpdateRates = Readonly<z.infer<typeof updateRatesSchema>>;

/**
 * A rule. `state` holds `numStateVectors` vectors as long as the parameters, zero at the start; both are changed. The
 * gradient is read only, and whole: its norm may matter.
 */
export interface Optimizer {
  readonly numStateVectors: number;
  apply(parameters: Float32Array, gradient: Float32Array, state: readonly Float32Array[], rates: UpdateRates): void;
}

const f = Math.fround;

const OPTIMIZERS = {
  sgd: (config) => (config.momentum === 0 ? plainDescent(config) : momentumDescent(config)),
  adam: (config) => adaptiveMoments(config, 'gradient'),
  adamw: (config) => adaptiveMoments(config, 'parameters'),
} satisfies Record<OptimizerName, (config: OptimizerConfig) => Optimizer>;

/** The rule of a configuration, with its clipping. */
export function createOptimizer(config: OptimizerConfig): Optimizer {
  const rule = OPTIMIZERS[config.name](config);
  return config.clipNorm === undefined ? rule : withClipping(rule, config.clipNorm);
}

/** The rule, given gradients that are clipped; they are copied before they are scaled. */
function withClipping(rule: Optimizer, clipNorm: number): Optimizer {
  let scaled = new Float32Array();
  return {
    numStateVectors: rule.numStateVectors,
    apply(parameters, gradient, state, rates) {
      const scale = clipScale(sumOfSquares(gradient), clipNorm);
      if (scale === 1) {
        rule.apply(parameters, gradient, state, rates);
        return;
      }
      if (scaled.length !== gradient.length) scaled = new Float32Array(gradient.length);
      for (let i = 0; i < gradient.length; i++) scaled[i] = scale * gradient[i]!;
      rule.apply(parameters, scaled, state, rates);
    },
  };
}

/** p <- p - rate (g + decay p) */
function plainDescent(config: OptimizerConfig): Optimizer {
  const decay = f(config.weightDecay);
  return {
    numStateVectors: 0,
    apply(parameters, gradient, _state, rates) {
      const rate = f(rates.learningRate);
      for (let i = 0; i < parameters.length; i++) {
        const p = parameters[i]!;
        const g = f(gradient[i]! + f(decay * p));
        parameters[i] = f(p - f(rate * g));
      }
    },
  };
}

/**
 * u <- momentum u + g,  p <- p - rate u;  with Nesterov p <- p - rate (g + momentum u),  g with decay p added.
 * Source: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013, in the form in which
 * the rate multiplies u.
 */
function momentumDescent(config: OptimizerConfig): Optimizer {
  const decay = f(config.weightDecay);
  const momentum = f(config.momentum);
  return {
    numStateVectors: 1,
    apply(parameters, gradient, [velocity], rates) {
      const rate = f(rates.learningRate);
      const u = velocity!;
      for (let i = 0; i < parameters.length; i++) {
        const p = parameters[i]!;
        const g = f(gradient[i]! + f(decay * p));
        const next = f(f(momentum * u[i]!) + g);
        u[i] = next;
        const direction = config.nesterov ? f(g + f(momentum * next)) : next;
        parameters[i] = f(p - f(rate * direction));
      }
    },
  };
}

/**
 * m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
 * p <- p - stepSize m / (sqrt(v) secondMomentScale + epsilon)
 *
 * Decay goes into the gradient (Adam) or, as p <- p - rate decay p before the step, into the parameters (AdamW).
 * Sources: Kingma and Ba, Adam, 2015; Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
 */
function adaptiveMoments(config: OptimizerConfig, decayInto: 'gradient' | 'parameters'): Optimizer {
  const beta1 = f(config.beta1);
  const beta2 = f(config.beta2);
  const rest1 = f(1 - config.beta1);
  const rest2 = f(1 - config.beta2);
  const epsilon = f(config.epsilon);
  return {
    numStateVectors: 2,
    apply(parameters, gradient, [first, second], rates) {
      const stepSize = f(rates.stepSize);
      const scale = f(rates.secondMomentScale);
      const gradientDecay = decayInto === 'gradient' ? f(config.weightDecay) : 0;
      const parameterDecay = decayInto === 'parameters' ? f(rates.learningRate * config.weightDecay) : 0;
      const m = first!;
      const v = second!;
      for (let i = 0; i < parameters.length; i++) {
        let p = parameters[i]!;
        const g = f(gradient[i]! + f(gradientDecay * p));
        p = f(p - f(parameterDecay * p));
        const mean = f(f(beta1 * m[i]!) + f(rest1 * g));
        const square = f(f(beta2 * v[i]!) + f(rest2 * f(g * g)));
        m[i] = mean;
        v[i] = square;
        const root = f(f(f(Math.sqrt(square)) * scale) + epsilon);
        parameters[i] = f(p - f(stepSize * f(mean / root)));
      }
    },
  };
}

/** Which of the state's vectors are sums of squares: wherever else they are changed, they may not fall below 0. */
export function indexOfSquares({ name }: OptimizerConfig): number | undefined {
  return name === 'sgd' ? undefined : 1;
}

/** The rates of update number `step` (from 1) at a learning rate: Adam's bias corrections, 1 where there are none. */
export function updateRates(config: OptimizerConfig, learningRate: number, step: number): UpdateRates {
  if (config.name === 'sgd') return { learningRate, stepSize: learningRate, secondMomentScale: 1 };
  return {
    learningRate,
    stepSize: learningRate / (1 - config.beta1 ** step),
    secondMomentScale: 1 / Math.sqrt(1 - config.beta2 ** step),
  };
}
