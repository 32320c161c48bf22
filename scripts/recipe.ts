/** The default recipe: the plain setting whose training curves follow the homework's. Every value has a flag. */
export const DEFAULT_RECIPE = {
  epochs: 30,
  globalBatch: 256,
  optimizer: 'sgd',
  learningRate: 0.02,
  momentum: 0.9,
  weightDecay: 0,
  schedule: 'constant',
} as const;
