/** Run sizes: a run that is too large to be held or counted is refused before its directory is made. */
import { countOf } from '../protocol/counts.ts';
import { ConfigError } from '../protocol/errors.ts';
import { product } from '../protocol/state/model-spec.ts';
import type { ModelPlan } from '../protocol/state/model-spec.ts';
import { stateLength } from '../protocol/state/replica.ts';
import { largestMicrobatch } from '../protocol/data/sharding.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import { EVALUATION_BATCH, lastStepOf, stepSizesOf } from './run-config.ts';
import type { RunConfig } from './run-config.ts';

/** Engines count the values of a layer's outputs, for a whole microbatch, in 32 bits. */
const MAX_OUTPUTS = 2 ** 31 - 1;

/** Throws `ConfigError`, with the number, the limit and the cure. */
export function checkRunSizes(config: RunConfig, plan: ModelPlan, numTrainSamples: number): void {
  checkSteps(config, numTrainSamples);
  checkState(config, plan);
  checkOutputs(config, plan, numTrainSamples);
}

function checkSteps(config: RunConfig, numTrainSamples: number): void {
  const lastStep = lastStepOf(config, numTrainSamples);
  if (Number.isSafeInteger(lastStep)) return;
  throw new ConfigError(
    `--epochs ${config.epochs}: ${countOf(lastStep, 'step')}, expected at most ${Number.MAX_SAFE_INTEGER}: use fewer epochs`,
  );
}

/** A snapshot carries the whole state as one payload. */
function checkState({ model, optimizer }: RunConfig, plan: ModelPlan): void {
  const numBytes = Float32Array.BYTES_PER_ELEMENT * stateLength(plan, optimizer);
  if (numBytes <= LIMITS.maxPayloadBytes) return;
  const averages = optimizer.emaDecay === undefined ? '' : ', or leave out --ema-decay';
  throw new ConfigError(
    `model ${model.name}: ${plan.numParameters} parameters with --optimizer ${optimizer.name} have a state of ` +
      `${countOf(numBytes, 'byte')}, expected at most ${LIMITS.maxPayloadBytes}, which one message can carry: make the model ` +
      `smaller, take an optimizer with less state${averages}`,
  );
}

function checkOutputs(config: RunConfig, plan: ModelPlan, numTrainSamples: number): void {
  const { globalBatch, microbatches } = stepSizesOf(config);
  const ofTraining = largestMicrobatch({ globalBatch, numMicrobatches: microbatches, numTrainSamples });
  const numSamples = Math.max(ofTraining, EVALUATION_BATCH);
  for (const { place, outputShape } of plan.layers) {
    const numOutputs = numSamples * product(outputShape);
    if (numOutputs <= MAX_OUTPUTS) continue;
    const cure =
      ofTraining > EVALUATION_BATCH ? 'use more --microbatches, or make that layer smaller' : 'make it smaller';
    throw new ConfigError(
      `model ${plan.spec.name}: layer ${place} gives [${outputShape.join(', ')}] for each of ${numSamples} ` +
        `samples, ${numOutputs} values, expected at most ${MAX_OUTPUTS}: ${cure}`,
    );
  }
}
