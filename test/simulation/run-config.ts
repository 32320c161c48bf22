/** The run that a schedule is about: small in everything, and with every part that replicas must keep equal. */
import type { RunConfig } from '../../coordinator/run-config.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';
import { numberedDataset } from './engine.ts';
import type { Schedule } from './schedule.ts';

export const NUM_TRAIN = 40;
export const NUM_TEST = 600;
/** Four steps an epoch, of which the last is short. */
const GLOBAL_BATCH = 12;
const STEP_TIMEOUT_S = 20;

export const DATASET = numberedDataset(NUM_TRAIN, NUM_TEST);

export function configOf(schedule: Schedule): RunConfig {
  const { numBuckets, microbatches, localSteps, epochs, wire, allReduce, numAwaited } = schedule;
  return {
    model: modelOf(numBuckets),
    workers: numAwaited,
    epochs,
    globalBatch: GLOBAL_BATCH,
    microbatches,
    accumulate: 1,
    localSteps,
    seed: 7,
    optimizer: { ...PLAIN_SGD, momentum: 0.5 },
    schedule: { name: 'constant', learningRate: 0.125, warmupSteps: 0, decayEpochs: 1, decayFactor: 1 },
    wire,
    allReduce,
    shares: 'auto',
    joinTimeoutSeconds: 600,
    stepTimeoutSeconds: STEP_TIMEOUT_S,
  };
}

/** The fewest parameters that make this many buckets: 12,762 for four, 86 for one. */
const modelOf = (numBuckets: Schedule['numBuckets']): ModelSpec => ({
  name: 'simulated',
  input: [1, 28, 28],
  numClasses: 10,
  layers: [
    ...(numBuckets > 1 ? [] : [{ kind: 'maxPool', size: 14 } as const]),
    { kind: 'flatten' },
    { kind: 'dense', units: numBuckets > 1 ? 16 : 4, activation: 'relu' },
    { kind: 'batchNorm' },
    { kind: 'dense', units: 10, activation: 'none' },
  ],
});
