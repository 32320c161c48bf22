/** What an engine makes of a batch, and the two ways to compare it: to the bit, and with the reference's. */
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { ModelPlan } from '../../protocol/state/model-spec.ts';
import type { Engine, Microbatch } from '../../worker/engines/engine.ts';
import { worstError } from '../../worker/engines/probe.ts';
import { gradientBuffers } from './models.ts';
import { syntheticSamples } from './samples.ts';

/** Largest error of a gradient or statistic, as a fraction of its tensor's largest entry; of a loss, likewise. */
export const LIMIT = 1e-4;
/**
 * For models that are not made to be trained: their batch norms meet nearly constant features, and multiply rounding
 * errors by up to 1 / sqrt(epsilon) = 316; and biases before a batch norm have gradients that are nothing but rounding.
 */
export const ODD_LIMIT = 1e-3;
/**
 * A value within rounding of a ReLU's edge, or two within rounding of each other in a pool, may rightly fall to either
 * side, and one that does moves a filter's gradient by about 1e-3. Of a million activations a few are so close (one
 * batch of 256 in five, for `conv-pool`), and which depends on the machine's rounding. An engine must agree on one of
 * these batches; one that computes something else agrees on none.
 */
const SEEDS = [1, 2, 3, 4, 5];

export type Results = Awaited<ReturnType<typeof resultsOf>>;

/** Everything that the engine gives for one batch, in training and in evaluation. */
export async function resultsOf(engine: Engine, plan: ModelPlan, batch: Microbatch) {
  const into = gradientBuffers(plan);
  const training = await engine.computeGradient(batch, into);
  const outputs = new Float32Array(batch.numSamples * plan.spec.numClasses);
  return { ...into, outputs, training, evaluation: await engine.evaluate(batch, outputs) };
}

/** What tells whether two results are the same to the bit. */
export function bitsOf({ gradient, statistics, outputs, ...results }: Results) {
  return { gradient: sha256(gradient), statistics: sha256(statistics), outputs: sha256(outputs), ...results };
}

export function sha256(values: Float32Array | Uint8Array | Uint16Array): string {
  return createHash('sha256').update(values).digest('hex');
}

interface Judged {
  readonly plan: ModelPlan;
  readonly engine: Engine;
  readonly reference: Engine;
}

/** Fails unless engine and reference agree, on one of {@link SEEDS}, on everything that a batch of `size` gives. */
export async function expectAgreement({ plan, engine, reference }: Judged, size: number, limit = LIMIT): Promise<void> {
  let lastFailure: unknown;
  for (const seed of SEEDS) {
    const batch = syntheticSamples(plan, size, seed);
    const [actual, expected] = [await resultsOf(engine, plan, batch), await resultsOf(reference, plan, batch)];
    try {
      expectClose(plan, actual, expected, limit);
      return;
    } catch (failure) {
      lastFailure = failure;
    }
  }
  throw lastFailure;
}

function expectClose(plan: ModelPlan, actual: Results, expected: Results, limit: number): void {
  for (const kind of ['training', 'evaluation'] as const) {
    const scale = Math.max(1, Math.abs(expected[kind].lossSum));
    expect(Math.abs(actual[kind].lossSum - expected[kind].lossSum) / scale, `${kind} loss`).toBeLessThan(limit);
    expect(actual[kind].numCorrect, `${kind} answers`).toBe(expected[kind].numCorrect);
    expect(actual[kind].numSamples).toBe(expected[kind].numSamples);
  }
  const withinLimit = (error: { error: number }) => error.error < limit;
  expect(worstError(plan.buffers, actual.statistics, expected.statistics)).toSatisfy(withinLimit);
  expect(worstError(plan.parameters, actual.gradient, expected.gradient)).toSatisfy(withinLimit);
  const slot = { name: 'outputs', shape: [actual.outputs.length], offset: 0, size: actual.outputs.length };
  expect(worstError([slot], actual.outputs, expected.outputs)).toSatisfy(withinLimit);
}
