/**
 * Replica: one full copy of the training state, and the updates that all copies apply alike.
 *
 * The state is one flat float32 vector, [parameters | buffers | optimizer state], and after it, where a run averages its
 * weights, [average parameters | average buffers]: so a snapshot is a view of it.
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { countOf } from '../counts.ts';
import { ConfigError, internalError, ProtocolError } from '../errors.ts';
import { BATCH_NORM_MOMENTUM, initialBuffers, initialParameters } from './model-spec.ts';
import type { ModelPlan } from './model-spec.ts';
import { createOptimizer, indexOfSquares } from '../vectors/optimizer.ts';
import type { OptimizerConfig, UpdateRates } from '../vectors/optimizer.ts';
import { plainVectorMath } from '../vectors/vector-math.ts';
import { updateAverage } from '../vectors/weight-average.ts';

/** A model's numbers, in layout order. */
export interface ModelValues {
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly buffers: Float32Array<ArrayBuffer>;
}

export interface Replica {
  readonly plan: ModelPlan;
  /** Views of `state`: change them only through the replica's functions. */
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly buffers: Float32Array<ArrayBuffer>;
  /** Averages of parameters and buffers along the run, views of `state`; undefined where none are kept. */
  readonly averages: ModelValues | undefined;
  /** [parameters | buffers | optimizer state | averages]: what a snapshot carries. */
  readonly state: Float32Array<ArrayBuffer>;
  /** Updates applied so far. */
  readonly step: number;
  /**
   * Applies one averaged [gradient | statistics], length numParameters + numBuffers; reads it, does not keep it.
   * The gradient is clipped where the configuration says so, the statistics never.
   * `step` is the update's number: the replica must be one step before it, else ERR_STATE_MISMATCH.
   */
  applyUpdate(average: Float32Array<ArrayBuffer>, rates: UpdateRates, step: number): void;
  /**
   * Adds a change of the whole state, laid out as {@link deltaFrom} does, that `numSteps` steps from number `firstStep` on
   * have made; reads it, does not keep it. Second moments that rounding takes below 0 become 0. ERR_STATE_MISMATCH as above.
   */
  applyDelta(delta: Float32Array<ArrayBuffer>, firstStep: number, numSteps: number): void;
  /**
   * delta <- this state - `base`, as [parameters, optimizer state, average parameters | buffers, average buffers]: as long
   * as the state. What travels in few bits comes first, see `exchange.ts`.
   */
  deltaFrom(base: Replica, delta: Float32Array<ArrayBuffer>): void;
  /** Takes over a snapshot; copies it. ERR_STATE_MISMATCH when its length is not this replica's. */
  restore(state: Float32Array, step: number): void;
  /** sha256, in hex, of the parameters: float32, little-endian, in layout order. */
  parametersSha256(): string;
}

/** Values of a replica's whole state. */
export function stateLength({ numParameters, numBuffers }: ModelPlan, optimizerConfig: OptimizerConfig): number {
  const { numStateVectors } = createOptimizer(optimizerConfig);
  const averages = optimizerConfig.emaDecay === undefined ? 0 : numParameters + numBuffers;
  return numParameters * (1 + numStateVectors) + numBuffers + averages;
}

/** Throws `ConfigError` where the system has no memory for as many values. */
export function allocateState({ spec }: ModelPlan, numValues: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(numValues);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError(
      `model ${spec.name}: its state has ${countOf(numValues, 'value')}, expected memory for ${countOf(4 * numValues, 'byte')}, got none ` +
        `(${error.message}): make the model smaller, or use a machine with more memory`,
      { cause: error },
    );
  }
}

/** A replica at step 0, initialised from the seed. Throws `ConfigError` where there is no memory for it. */
export function createReplica(
  plan: ModelPlan,
  optimizerConfig: OptimizerConfig,
  seed: number,
  { createOptimizer, addVectors, subtractVectors } = plainVectorMath,
): Replica {
  if (endianness() !== 'LE') throw new ConfigError('this machine is big-endian: gradsock needs a little-endian one');
  const { numParameters, numBuffers } = plan;
  const optimizer = createOptimizer(optimizerConfig);
  const keepsAverages = optimizerConfig.emaDecay !== undefined;
  const averagesAt = numParameters * (1 + optimizer.numStateVectors) + numBuffers;
  const state = allocateState(plan, stateLength(plan, optimizerConfig));
  const parameters = state.subarray(0, numParameters);
  const buffers = state.subarray(numParameters, numParameters + numBuffers);
  const optimizerState = Array.from({ length: optimizer.numStateVectors }, (_, i) => {
    const start = numParameters * (1 + i) + numBuffers;
    return state.subarray(start, start + numParameters);
  });
  parameters.set(initialParameters(plan, seed));
  buffers.set(initialBuffers(plan));
  const averages = keepsAverages
    ? {
        parameters: state.subarray(averagesAt, averagesAt + numParameters),
        buffers: state.subarray(averagesAt + numParameters),
      }
    : undefined;
  averages?.parameters.set(parameters);
  averages?.buffers.set(buffers);
  const squaresAt = indexOfSquares(optimizerConfig);
  let currentStep = 0;

  /** Parts of a state beside their places in a delta: parameters, optimizer state and averages of parameters, buffers. */
  const inDeltaOrder = (whole: Float32Array<ArrayBuffer>, delta: Float32Array<ArrayBuffer>) => {
    const averageBuffersAt = whole.length - (keepsAverages ? numBuffers : 0);
    const buffersAt = averageBuffersAt - numBuffers;
    return [
      [whole.subarray(0, numParameters), delta.subarray(0, numParameters)],
      [whole.subarray(numParameters + numBuffers, averageBuffersAt), delta.subarray(numParameters, buffersAt)],
      [whole.subarray(numParameters, numParameters + numBuffers), delta.subarray(buffersAt, averageBuffersAt)],
      [whole.subarray(averageBuffersAt), delta.subarray(averageBuffersAt)],
    ] as const;
  };

  /** An update that does not begin where this replica stands is refused. */
  const checkFollows = (step: number): void => {
    if (step === currentStep + 1) return;
    throw new ProtocolError('ERR_STATE_MISMATCH', `update ${step} does not follow step ${currentStep}`, { step });
  };

  return {
    plan,
    parameters,
    buffers,
    averages,
    state,
    get step() {
      return currentStep;
    },
    applyUpdate(average, rates, step) {
      if (average.length !== numParameters + numBuffers) {
        throw internalError(`an update of ${countOf(average.length, 'value')} for ${numParameters} + ${numBuffers}`);
      }
      checkFollows(step);
      optimizer.apply(parameters, average.subarray(0, numParameters), optimizerState, rates);
      updateRunningStatistics(buffers, average.subarray(numParameters));
      if (averages) {
        updateAverage(averages.parameters, parameters, optimizerConfig, step);
        updateAverage(averages.buffers, buffers, optimizerConfig, step);
      }
      currentStep = step;
    },
    applyDelta(delta, firstStep, numSteps) {
      if (delta.length !== state.length) {
        throw internalError(`a change of ${countOf(delta.length, 'value')} for a state of ${state.length}`);
      }
      checkFollows(firstStep);
      for (const [values, change] of inDeltaOrder(state, delta)) addVectors(values, values, change);
      if (squaresAt !== undefined) raiseToZero(optimizerState[squaresAt]!);
      currentStep = firstStep + numSteps - 1;
    },
    deltaFrom(base, delta) {
      const ofBase = inDeltaOrder(base.state, delta);
      for (const [i, [values, change]] of inDeltaOrder(state, delta).entries()) {
        subtractVectors(change, values, ofBase[i]![0]);
      }
    },
    restore(snapshot, step) {
      if (snapshot.length !== state.length) {
        throw new ProtocolError(
          'ERR_STATE_MISMATCH',
          `a snapshot of ${countOf(snapshot.length, 'value')}, expected ${state.length}`,
          { step },
        );
      }
      state.set(snapshot);
      currentStep = step;
    },
    parametersSha256: () => sha256Of(parameters),
  };
}

/** In hex, of float32 values, little-endian. */
export function sha256Of({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>): string {
  return createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');
}

/** running <- 0.9 running + 0.1 batch, for means and (population) variances alike; float32 at every operation. */
function updateRunningStatistics(running: Float32Array, batch: Float32Array): void {
  const keep = Math.fround(BATCH_NORM_MOMENTUM);
  const take = Math.fround(1 - BATCH_NORM_MOMENTUM);
  for (let i = 0; i < running.length; i++) {
    running[i] = Math.fround(Math.fround(keep * running[i]!) + Math.fround(take * batch[i]!));
  }
}

/** A NaN stays one. */
function raiseToZero(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) if (values[i]! < 0) values[i] = 0;
}
