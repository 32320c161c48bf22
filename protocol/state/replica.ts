/**
 * Replica: one full copy of the training state, and the update that all copies apply alike.
 *
 * The state is one flat float32 vector, [parameters | buffers | optimizer state], so that a snapshot is a view of it.
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { ConfigError, internalError, ProtocolError } from '../errors.ts';
import { BATCH_NORM_MOMENTUM, initialBuffers, initialParameters } from './model-spec.ts';
import type { ModelPlan } from './model-spec.ts';
import type { OptimizerConfig, UpdateRates } from './optimizer.ts';
import { plainVectorMath } from './vector-math.ts';

export interface Replica {
  readonly plan: ModelPlan;
  /** Views of `state`: change them only through the replica's functions. */
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly buffers: Float32Array<ArrayBuffer>;
  /** [parameters | buffers | optimizer state]: what a snapshot carries. */
  readonly state: Float32Array<ArrayBuffer>;
  /** Updates applied so far. */
  readonly step: number;
  /**
   * Applies one averaged [gradient | statistics], length numParameters + numBuffers; reads it, does not keep it.
   * `step` is the update's number: the replica must be one step before it, else ERR_STATE_MISMATCH.
   */
  applyUpdate(average: Float32Array<ArrayBuffer>, rates: UpdateRates, step: number): void;
  /** Takes over a snapshot; copies it. ERR_STATE_MISMATCH when its length is not this replica's. */
  restore(state: Float32Array, step: number): void;
  /** sha256, in hex, of the parameters: float32, little-endian, in layout order. */
  parametersSha256(): string;
}

/** A replica at step 0, initialised from the seed. */
export function createReplica(
  plan: ModelPlan,
  optimizerConfig: OptimizerConfig,
  seed: number,
  { createOptimizer } = plainVectorMath,
): Replica {
  if (endianness() !== 'LE') throw new ConfigError('this machine is big-endian: gradsock needs a little-endian one');
  const { numParameters, numBuffers } = plan;
  const optimizer = createOptimizer(optimizerConfig);
  const state = new Float32Array(numParameters * (1 + optimizer.numStateVectors) + numBuffers);
  const parameters = state.subarray(0, numParameters);
  const buffers = state.subarray(numParameters, numParameters + numBuffers);
  const optimizerState = Array.from({ length: optimizer.numStateVectors }, (_, i) => {
    const start = numParameters * (1 + i) + numBuffers;
    return state.subarray(start, start + numParameters);
  });
  parameters.set(initialParameters(plan, seed));
  buffers.set(initialBuffers(plan));
  let currentStep = 0;

  return {
    plan,
    parameters,
    buffers,
    state,
    get step() {
      return currentStep;
    },
    applyUpdate(average, rates, step) {
      if (average.length !== numParameters + numBuffers) {
        throw internalError(`an update of ${average.length} values for ${numParameters} + ${numBuffers}`);
      }
      if (step !== currentStep + 1) {
        throw new ProtocolError('ERR_STATE_MISMATCH', `update ${step} does not follow step ${currentStep}`, { step });
      }
      optimizer.apply(parameters, average.subarray(0, numParameters), optimizerState, rates);
      updateRunningStatistics(buffers, average.subarray(numParameters));
      currentStep = step;
    },
    restore(snapshot, step) {
      if (snapshot.length !== state.length) {
        throw new ProtocolError(
          'ERR_STATE_MISMATCH',
          `a snapshot of ${snapshot.length} values, expected ${state.length}`,
          { step },
        );
      }
      state.set(snapshot);
      currentStep = step;
    },
    parametersSha256() {
      const bytes = new Uint8Array(parameters.buffer, parameters.byteOffset, parameters.byteLength);
      return createHash('sha256').update(bytes).digest('hex');
    },
  };
}

/** running <- 0.9 running + 0.1 batch, for means and (population) variances alike; float32 at every operation. */
function updateRunningStatistics(running: Float32Array, batch: Float32Array): void {
  const keep = Math.fround(BATCH_NORM_MOMENTUM);
  const take = Math.fround(1 - BATCH_NORM_MOMENTUM);
  for (let i = 0; i < running.length; i++) {
    running[i] = Math.fround(Math.fround(keep * running[i]!) + Math.fround(take * batch[i]!));
  }
}
