import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../protocol/errors.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import { createTfjsEngine } from '../../../../worker/engines/tfjs/tfjs-engine.ts';
import { gradientBuffers, ODD_MODELS, trainedState } from '../../../helpers/models.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

const STEPS = 200;

describe('the tfjs engine', () => {
  const optionsOf = (model: keyof typeof MODELS) => ({ ...trainedState(MODELS[model], 1), maxBatch: 8, threads: 1 });

  it('says what it runs on', async () => {
    const options = optionsOf('dense');
    expect(await createTfjsEngine({ ...options, threads: 2, device: 'wasm' })).toMatchObject({
      name: 'tfjs',
      device: 'wasm',
      threads: 1,
    });
    expect(await createTfjsEngine({ ...options, device: 'cpu' })).toMatchObject({ name: 'tfjs', device: 'cpu' });
  });

  it('takes, when none is named, a device that works', async () => {
    const options = optionsOf('dense');
    const engine = await createTfjsEngine(options);
    expect(['tensorflow-gpu', 'tensorflow', 'wasm']).toContain(engine.device);
    const batch = syntheticSamples(options.plan, 8, 1);
    expect((await engine.computeGradient(batch, gradientBuffers(options.plan))).lossSum).toBeGreaterThan(0);
    await engine.dispose();
  });

  it('refuses an unknown device with the devices it has', async () => {
    const refusal = createTfjsEngine({ ...optionsOf('dense'), device: 'cuda' });
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(
      '--device cuda: the tfjs engine runs on tensorflow-gpu, tensorflow, wasm, cpu',
    );
  });

  it.each([
    ['dense', 'wasm'],
    ['dense', 'cpu'],
  ] as const)(`holds no tensor after ${STEPS} steps of %s on %s`, async (model, device) => {
    const options = { ...optionsOf(model), device };
    const engine = await createTfjsEngine(options);
    const into = gradientBuffers(options.plan);
    const batch = syntheticSamples(options.plan, 4, 1);
    const before = tf.memory().numTensors;
    const bytesBefore = tf.memory().numBytes;
    for (let step = 0; step < STEPS; step++) {
      await engine.computeGradient(batch, into);
      await engine.evaluate(batch);
    }
    expect(tf.memory()).toMatchObject({ numTensors: before, numBytes: bytesBefore });
    await engine.dispose();
  });

  it.each(['wasm', 'cpu'])('holds no tensor after a step with convolutions and pools on %s', async (device) => {
    const options = { ...optionsOf('conv-pool'), device };
    const engine = await createTfjsEngine(options);
    const before = tf.memory().numTensors;
    await engine.computeGradient(syntheticSamples(options.plan, 2, 1), gradientBuffers(options.plan));
    expect(tf.memory().numTensors).toBe(before);
    await engine.dispose();
  });

  it.each(ODD_MODELS.map((spec) => [spec.name, spec] as const))(
    'holds no tensor after a step of %s',
    async (_, spec) => {
      const options = { ...trainedState(spec, 1), maxBatch: 2, threads: 1, device: 'wasm' };
      const engine = await createTfjsEngine(options);
      const before = tf.memory().numTensors;
      const batch = syntheticSamples(options.plan, 2, 1);
      await engine.computeGradient(batch, gradientBuffers(options.plan));
      await engine.evaluate(batch);
      expect(tf.memory().numTensors).toBe(before);
      await engine.dispose();
    },
  );

  it('engines on two backends take turns, and calls that overlap do not mix them', async () => {
    const options = optionsOf('conv-pool');
    const batch = syntheticSamples(options.plan, 8, 1);
    const engines = [
      await createTfjsEngine({ ...options, device: 'wasm' }),
      await createTfjsEngine({ ...options, device: 'cpu' }),
    ];
    const gradientsOf = async (engine: (typeof engines)[number]) => {
      const into = gradientBuffers(options.plan);
      await engine.computeGradient(batch, into);
      return into.gradient;
    };
    const alone = [await gradientsOf(engines[0]!), await gradientsOf(engines[1]!)];
    expect(alone[0]).not.toStrictEqual(alone[1]);
    const together = await Promise.all([...engines, ...engines].map(gradientsOf));
    expect(together).toStrictEqual([...alone, ...alone]);
  });

  it('refuses a batch that is longer than its bytes, or than the largest', async () => {
    const options = { ...optionsOf('dense'), device: 'wasm' };
    const engine = await createTfjsEngine(options);
    const before = tf.memory().numTensors;
    const batch = syntheticSamples(options.plan, 2, 1);
    const into = gradientBuffers(options.plan);
    await expect(engine.computeGradient({ ...batch, numSamples: 3 }, into)).rejects.toThrow(
      'internal: 3 samples (at most 8) need 2352 bytes of images and 3 labels, got 1568 and 2',
    );
    await expect(engine.evaluate(syntheticSamples(options.plan, 9, 1))).rejects.toThrow('9 samples (at most 8)');
    expect(tf.memory().numTensors).toBe(before);
  });
});
