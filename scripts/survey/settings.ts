/** What is measured: the default recipe's step, on one thread. */
import type { OptimizerConfig } from '../../protocol/vectors/optimizer.ts';
import { DEFAULT_RECIPE } from '../flags/recipe.ts';

export const BENCH_SEED = 1;

export const BENCH_OPTIMIZER: OptimizerConfig = {
  name: DEFAULT_RECIPE.optimizer,
  momentum: DEFAULT_RECIPE.momentum,
  nesterov: false,
  weightDecay: DEFAULT_RECIPE.weightDecay,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
};

/** A matrix product large enough to run at a core's best rate, small enough that two operands fit a shared cache. */
export const MATRIX_SIZE = 1024;
