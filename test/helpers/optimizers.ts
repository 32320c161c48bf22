import type { OptimizerConfig } from '../../protocol/vectors/optimizer.ts';

/** Gradient descent and nothing else; tests change what they are about. */
export const PLAIN_SGD: OptimizerConfig = {
  name: 'sgd',
  momentum: 0,
  nesterov: false,
  weightDecay: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
};
