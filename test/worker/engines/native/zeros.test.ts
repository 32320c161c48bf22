/** Images with many zeros, whose products the dense model's first layer skips: nothing else may change by that. */
import { afterEach, describe, expect, it } from 'vitest';
import { initialBuffers, initialParameters, planModel } from '../../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import type { Engine, EngineOptions, GradientBuffers, Microbatch } from '../../../../worker/engines/engine.ts';
import { nativeAvailability } from '../../../../worker/engines/native/loader.ts';
import { createNativeEngine } from '../../../../worker/engines/native/native-engine.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';

const availability = nativeAvailability();
const instructionSets = availability.available ? availability.instructionSets : [];
const plan = planModel(MODELS.dense);
const FIRST_LAYER_OUTPUTS = 120;
const engines: Engine[] = [];

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.dispose();
});

interface Made {
  readonly engine: Engine;
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly into: GradientBuffers;
}

async function make(
  create: (options: EngineOptions) => Promise<Engine>,
  options: Partial<EngineOptions> = {},
): Promise<Made> {
  const parameters = initialParameters(plan, 1);
  const engine = await create({
    plan,
    parameters,
    buffers: initialBuffers(plan),
    maxBatch: 256,
    threads: 1,
    ...options,
  });
  engines.push(engine);
  const into = { gradient: new Float32Array(plan.numParameters), statistics: new Float32Array(plan.numBuffers) };
  return { engine, parameters, into };
}

/** Of the pixels, in runs of 7, `percent` are 0; the first row always is, wider than any group that is skipped whole. */
function microbatch(numSamples: number, percent: number): Microbatch {
  const hash = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >>> 8;
  const pixel = (i: number): number => {
    if (i % 784 < 28 || hash(Math.floor(i / 7)) % 100 < percent) return 0;
    return 1 + (hash(i) % 255);
  };
  return {
    images: Uint8Array.from({ length: numSamples * 784 }, (_, i) => pixel(i)),
    labels: Uint8Array.from({ length: numSamples }, (_, i) => hash(i) % 10),
    numSamples,
  };
}

/** Largest difference, as a part of the largest value. */
function difference(actual: Float32Array, expected: Float32Array): number {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0) / scale;
}

describe.each(instructionSets)('zeros in images, %s', (device) => {
  it.each([
    [1, 50],
    [7, 60],
    [17, 95],
    [64, 20],
    [100, 50],
    [256, 50],
  ])('change no result: %i samples, zeros in %i of 100 pixels', async (numSamples, percent) => {
    const batch = microbatch(numSamples, percent);
    const expected = await make(createReferenceEngine);
    const actual = await make((options) => createNativeEngine({ ...options, device }));
    const expectedResult = await expected.engine.computeGradient(batch, expected.into);
    const { lossSum, numCorrect } = await actual.engine.computeGradient(batch, actual.into);
    expect(Math.abs(lossSum / expectedResult.lossSum - 1)).toBeLessThan(1e-5);
    expect(numCorrect).toBe(expectedResult.numCorrect);
    // One sample is its own mean at every batch norm: all is 0 there, and rounding is magnified.
    if (numSamples > 1) expect(difference(actual.into.gradient, expected.into.gradient)).toBeLessThan(1e-3);
    expect(difference(actual.into.statistics, expected.into.statistics)).toBeLessThan(1e-5);
    const [evaluated, judge] = [await actual.engine.evaluate(batch), await expected.engine.evaluate(batch)];
    expect(Math.abs(evaluated.lossSum / judge.lossSum - 1)).toBeLessThan(1e-5);
  });

  it('give a gradient of 0 where all images are black', async () => {
    const { engine, into } = await make((options) => createNativeEngine({ ...options, device }));
    into.gradient.fill(7);
    await engine.computeGradient(microbatch(33, 100), into);
    expect(into.gradient.subarray(0, 784 * FIRST_LAYER_OUTPUTS).every((value) => value === 0)).toBe(true);
  });

  it('give the same bits for 1, 2 and 4 threads, and after batches without zeros', async () => {
    for (const numSamples of [256, 100, 1]) {
      const gradients = [];
      for (const threads of [1, 2, 4]) {
        const { engine, into } = await make((options) => createNativeEngine({ ...options, device, threads }));
        await engine.computeGradient(microbatch(200, 0), into);
        await engine.computeGradient(microbatch(numSamples, 50), into);
        gradients.push(Buffer.from(into.gradient.buffer));
      }
      expect(gradients[1]!.equals(gradients[0]!)).toBe(true);
      expect(gradients[2]!.equals(gradients[0]!)).toBe(true);
    }
  });

  it.each([NaN, Infinity])('do not hide a weight of %d at a pixel that is always 0', async (poison) => {
    const { engine, parameters, into } = await make((options) => createNativeEngine({ ...options, device }));
    parameters[5] = poison;
    const { lossSum } = await engine.computeGradient(microbatch(20, 50), into);
    expect(lossSum).toBeNaN();
  });

  it('do not hide a gradient from above that is not finite', async () => {
    const { engine, parameters, into } = await make((options) => createNativeEngine({ ...options, device }));
    parameters[plan.numParameters - 1] = NaN;
    await engine.computeGradient(microbatch(20, 50), into);
    // A weight's gradient is NaN where its unit's is, whatever the pixel: as the full sum over 0 x NaN would be.
    const ofUnits = into.gradient.subarray(784 * FIRST_LAYER_OUTPUTS).subarray(0, FIRST_LAYER_OUTPUTS);
    const ofFirstPixel = into.gradient.subarray(0, FIRST_LAYER_OUTPUTS);
    expect(ofUnits.some(Number.isNaN)).toBe(true);
    expect([...ofFirstPixel].map(Number.isNaN)).toEqual([...ofUnits].map(Number.isNaN));
  });
});
