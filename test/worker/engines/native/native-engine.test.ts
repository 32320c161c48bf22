/** What only the native engine promises: instruction sets, threads, a free event loop, no fresh memory, checked arguments. */
import { afterEach, describe, expect, it } from 'vitest';
import { initialBuffers, initialParameters, planModel } from '../../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import type { ModelName } from '../../../../protocol/state/models.ts';
import type { Engine, EngineOptions, GradientBuffers, Microbatch } from '../../../../worker/engines/engine.ts';
import { nativeAvailability } from '../../../../worker/engines/native/loader.ts';
import { createNativeEngine } from '../../../../worker/engines/native/native-engine.ts';

const availability = nativeAvailability();
const engines: Engine[] = [];

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.dispose();
});

async function createEngine(model: ModelName, options: Partial<EngineOptions> = {}) {
  const plan = planModel(MODELS[model]);
  const parameters = initialParameters(plan, 1);
  const state = { plan, parameters, buffers: initialBuffers(plan) };
  const engine = await createNativeEngine({ ...state, maxBatch: 256, threads: 1, ...options });
  engines.push(engine);
  const into: GradientBuffers = {
    gradient: new Float32Array(plan.numParameters),
    statistics: new Float32Array(plan.numBuffers),
  };
  return { engine, parameters, into };
}

/** Bytes and labels without a pattern: a multiplicative hash of the position. */
function microbatch(numSamples: number): Microbatch {
  const hash = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >>> 16;
  return {
    images: Uint8Array.from({ length: numSamples * 784 }, (_, i) => hash(i) & 255),
    labels: Uint8Array.from({ length: numSamples }, (_, i) => hash(i) % 10),
    numSamples,
  };
}

describe.skipIf(!availability.available)('the native engine', () => {
  it.each(['dense', 'conv', 'conv-pool'] as const)('gives the same bits for 1, 2 and 4 threads: %s', async (model) => {
    for (const numSamples of [256, 100, 1]) {
      const results = [];
      for (const threads of [1, 2, 4]) {
        const { engine, into } = await createEngine(model, { threads });
        const result = await engine.computeGradient(microbatch(numSamples), into);
        results.push({ result, gradient: Buffer.from(into.gradient.buffer), statistics: into.statistics });
      }
      for (const other of results.slice(1)) {
        expect(other.result).toEqual(results[0]!.result);
        expect(other.gradient.equals(results[0]!.gradient)).toBe(true);
        expect(other.statistics).toEqual(results[0]!.statistics);
      }
    }
  });

  it('gives the same bits again after batches of other sizes', async () => {
    const { engine, into } = await createEngine('conv-pool');
    await engine.computeGradient(microbatch(37), into);
    const first = into.gradient.slice();
    await engine.computeGradient(microbatch(256), into);
    await engine.evaluate(microbatch(64));
    await engine.computeGradient(microbatch(37), into);
    expect(into.gradient).toEqual(first);
  });

  it('lets a 1 ms timer tick while steps compute', async () => {
    const { engine, into } = await createEngine('conv');
    const batch = microbatch(256);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let step = 0; step < 10; step++) await engine.computeGradient(batch, into);
    clearInterval(timer);
    // Ten steps of 10 ms or more; one tick a step would mean that the timer runs only between them.
    expect(ticks).toBeGreaterThan(20);
  });

  it.each(['dense', 'conv', 'conv-pool'] as const)('touches no fresh memory in a warm step: %s', async (model) => {
    const { engine, into } = await createEngine(model);
    const batch = microbatch(256);
    const steps = 50;
    for (let step = 0; step < 10; step++) await engine.computeGradient(batch, into);
    const before = process.resourceUsage().minorPageFault;
    for (let step = 0; step < steps; step++) await engine.computeGradient(batch, into);
    expect((process.resourceUsage().minorPageFault - before) / steps).toBeLessThan(20);
  });

  it.each(['dense', 'conv', 'conv-pool'] as const)(
    'does not hide a NaN or an infinity in a parameter: %s',
    async (model) => {
      const { engine, parameters, into } = await createEngine(model);
      for (const poison of [NaN, Infinity]) {
        const saved = parameters[0]!;
        parameters[0] = poison;
        const { lossSum } = await engine.computeGradient(microbatch(20), into);
        parameters[0] = saved;
        expect(lossSum).toBeNaN();
        expect(into.gradient.some(Number.isNaN)).toBe(true);
      }
      const { lossSum } = await engine.computeGradient(microbatch(20), into);
      expect(lossSum).toBeGreaterThan(0);
      expect(into.gradient.every(Number.isFinite)).toBe(true);
    },
  );

  it('refuses arguments that do not fit, and works on', async () => {
    const { engine, into } = await createEngine('dense', { maxBatch: 32 });
    const batch = microbatch(32);
    const short = new Float32Array(5);
    const refused: [Partial<Microbatch>, Partial<GradientBuffers>, RegExp][] = [
      [{ numSamples: 0 }, {}, /numSamples must be an integer from 1 to 32/],
      [{ numSamples: 33 }, {}, /numSamples must be an integer from 1 to 32/],
      [{ numSamples: 1.5 }, {}, /numSamples must be an integer/],
      [{ images: batch.images.subarray(1) }, {}, /images: expected at least 25088 elements, got 25087/],
      [{ labels: batch.labels.subarray(1) }, {}, /labels: expected at least 32/],
      [{ labels: batch.labels.map(() => 10) }, {}, /label 10 of sample 0 is not below numClasses 10/],
      [{}, { gradient: short }, /gradient: expected 105642 elements, got 5/],
      [{}, { statistics: short }, /statistics: expected 428 elements, got 5/],
      [{ images: short as never }, {}, /images is not a typed array of the expected type/],
      [{}, { gradient: [] as never }, /gradient is not a typed array/],
    ];
    for (const [badBatch, badInto, message] of refused) {
      await expect(engine.computeGradient({ ...batch, ...badBatch }, { ...into, ...badInto })).rejects.toThrow(message);
    }
    await expect(engine.computeGradient(batch, into)).resolves.toMatchObject({ numSamples: 32 });
  });

  it('refuses parameters whose memory was given away', async () => {
    const { engine, parameters, into } = await createEngine('dense');
    structuredClone(parameters, { transfer: [parameters.buffer] });
    await expect(engine.computeGradient(microbatch(1), into)).rejects.toThrow(/parameters: expected 105642 .*got 0/);
  });

  it('refuses a second call while one is under way', async () => {
    const { engine, into } = await createEngine('dense');
    const first = engine.computeGradient(microbatch(256), into);
    await expect(engine.evaluate(microbatch(1))).rejects.toThrow('a call is under way');
    await expect(first).resolves.toMatchObject({ numSamples: 256 });
  });

  it('can be disposed during a call, and twice; no call may follow', async () => {
    const { engine, into } = await createEngine('conv-pool', { threads: 2 });
    const step = engine.computeGradient(microbatch(256), into);
    await Promise.all([engine.dispose(), engine.dispose()]);
    await expect(step).resolves.toMatchObject({ numSamples: 256 });
    await expect(engine.computeGradient(microbatch(1), into)).rejects.toThrow('the engine is disposed');
  });

  it('refuses a device that it does not have', async () => {
    await expect(createEngine('dense', { device: 'webgpu' })).rejects.toThrow(
      /--device webgpu: the native engine has cpu/,
    );
  });
});
