import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import {
  modelSpecSchema,
  planModel,
  slotView,
  type ModelPlan,
  type ModelSpec,
} from '../../../protocol/state/model-spec.ts';
import { MODEL_NAMES, MODELS } from '../../../protocol/state/models.ts';
import type { Engine, EngineOptions, GradientBuffers } from '../../../worker/engines/engine.ts';
import { createOnnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { multiplicationsOf, probeEngine, worstError } from '../../../worker/engines/probe.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { trainedState } from '../../helpers/models.ts';

function optionsFor(model: keyof typeof MODELS, maxBatch = 256): EngineOptions {
  return { ...trainedState(MODELS[model], 1), maxBatch, threads: 1 };
}

/** The reference engine under another name, with its results spoilt. */
async function wrongEngine(options: EngineOptions, spoilt: Partial<Engine> | ((into: GradientBuffers) => void)) {
  const right = await createReferenceEngine(options);
  const disguised: Engine = { ...right, name: 'mistaken', device: 'webgpu (software)' };
  if (typeof spoilt !== 'function') return { ...disguised, ...spoilt };
  return {
    ...disguised,
    computeGradient: async (...[batch, into]: Parameters<Engine['computeGradient']>) => {
      const result = await right.computeGradient(batch, into);
      spoilt(into);
      return result;
    },
  };
}

describe('the probe', () => {
  it.each(MODEL_NAMES)('lets the onnx engine through on %s', async (model) => {
    const options = optionsFor(model);
    const engine = await createOnnxEngine(options);
    expect((await probeEngine(engine, options)).error).toBeLessThan(1e-3);
    await engine.dispose();
  });

  it('takes an engine for the smallest batches', async () => {
    const options = optionsFor('dense', 1);
    await expect(probeEngine(await createReferenceEngine(options), options)).resolves.toMatchObject({ error: 0 });
  });

  it('refuses an engine that computes one tensor wrongly: names engine, device, tensor, error and limit', async () => {
    const options = optionsFor('conv-pool');
    const { plan } = options;
    const conv2 = plan.parameters.find(({ name }) => name === 'conv2.weight')!;
    // 6 % too large: what a software GPU adapter was seen to give.
    const engine = await wrongEngine(options, ({ gradient }) => {
      const view = slotView(gradient, conv2);
      view.forEach((value, i) => (view[i] = value * 1.06));
    });
    const refusal = await probeEngine(engine, options).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as Error).message).toBe(
      '--engine mistaken on webgpu (software) computes wrongly: conv2.weight of model conv-pool is off by 6.0e-2 of ' +
        'its largest entry, limit 0.001; choose another --engine or --device',
    );
  });

  const nowhere = () => Promise.resolve({ lossSum: 1, numCorrect: 0, numSamples: 8 });
  it.each<[string, RegExp, Parameters<typeof wrongEngine>[1]]>([
    ['means instead of sums', /is off by 8\.8e-1/, ({ gradient }) => gradient.forEach((v, i) => (gradient[i] = v / 8))],
    ['a NaN', /norm1\.gamma .* Infinity/, ({ gradient }) => (gradient[784 * 120 + 120] = NaN)],
    [
      'the unbiased variance',
      /norm\d\.variance/,
      ({ statistics }) => statistics.forEach((v, i) => (statistics[i] = (v * 8) / 7)),
    ],
    ['another evaluation', /evaluation lossSum/, { evaluate: nowhere }],
  ])('refuses %s', async (_, message, spoilt) => {
    const options = optionsFor('dense');
    await expect(probeEngine(await wrongEngine(options, spoilt), options)).rejects.toThrow(message);
  });

  it('refuses an engine that leaves the smoothing of labels out', async () => {
    const options = { ...optionsFor('dense'), labelSmoothing: 0.1 };
    await expect(probeEngine(await createReferenceEngine(options), options)).resolves.toMatchObject({ error: 0 });
    const plain = await wrongEngine({ ...options, labelSmoothing: 0 }, {});
    await expect(probeEngine(plain, options)).rejects.toThrow(
      '--engine mistaken on webgpu (software) computes wrongly',
    );
  });

  it('asks again after one bad batch, as rounding may tip an activation over its edge', async () => {
    const options = optionsFor('dense');
    let numCalls = 0;
    const engine = await wrongEngine(options, ({ gradient }) => {
      if (++numCalls === 1) gradient[0]! += 1;
    });
    await expect(probeEngine(engine, options)).resolves.toMatchObject({ error: 0 });
    expect(numCalls).toBe(2);
  });

  it('changes neither parameters nor running statistics', async () => {
    const options = optionsFor('conv-pool');
    const kept = [options.parameters.slice(), options.buffers.slice()];
    await probeEngine(await createReferenceEngine(options), options);
    expect([options.parameters, options.buffers]).toEqual(kept);
  });
});

describe('worstError', () => {
  const slots: ModelPlan['parameters'] = [
    { name: 'large', shape: [2], offset: 0, size: 2 },
    { name: 'small', shape: [2], offset: 2, size: 2 },
  ];
  const expected = Float32Array.of(-100, 50, 4, 0);

  it('is a fraction of the largest entry of the tensor', () => {
    expect(worstError(slots, Float32Array.of(-100, 50, 3, 0), expected)).toEqual({ tensor: 'small', error: 0.25 });
    expect(worstError(slots, Float32Array.of(-100, 75, 4, 0), expected)).toEqual({ tensor: 'large', error: 0.25 });
  });

  it('holds no tensor to less than a hundredth of the largest entry of all', () => {
    const cancelled = Float32Array.of(-100, 50, 0, 0);
    expect(worstError(slots, Float32Array.of(-100, 50, 0, 0.5), cancelled)).toEqual({ tensor: 'small', error: 0.5 });
  });

  it('is infinite for what is not a number, and zero for equal vectors', () => {
    expect(worstError(slots, Float32Array.of(NaN, 50, 5, 0), expected)).toEqual({ tensor: 'large', error: Infinity });
    expect(worstError(slots, expected, expected)).toEqual({ tensor: 'none', error: 0 });
    expect(worstError(slots, Float32Array.of(0, 0, 0, 1), new Float32Array(4)).error).toBe(Infinity);
  });
});

describe('a large model', () => {
  const spec: ModelSpec = {
    name: 'large',
    input: [1, 28, 28],
    numClasses: 10,
    layers: [
      { kind: 'flatten' },
      { kind: 'dense', units: 2600, activation: 'relu' },
      { kind: 'dense', units: 10, activation: 'none' },
    ],
  };

  it('is counted by the multiplications of its layers', () => {
    expect(multiplicationsOf(planModel(spec))).toBe(784 * 2600 + 2600 * 10);
    // By hand: a 3x3 convolution to 4 maps of 26x26, pooled to 13x13, then 10 outputs.
    const small = {
      ...spec,
      layers: [
        { kind: 'conv', filters: 4, kernel: 3 },
        { kind: 'maxPool', size: 2 },
      ],
    };
    const layers = [...small.layers, { kind: 'flatten' }, { kind: 'dense', units: 10, activation: 'none' }];
    const multiplications = 4 * 9 * 26 * 26 + 4 * 13 * 13 * 10;
    expect(multiplicationsOf(planModel(modelSpecSchema.parse({ ...small, layers })))).toBe(multiplications);
  });

  it('is judged off the event loop', async () => {
    const options = { ...trainedState(spec, 1), maxBatch: 8, threads: 1 };
    const nothing = () => Promise.resolve({ lossSum: NaN, numCorrect: 0, numSamples: 8 });
    const engine: Engine = {
      ...{ name: 'none', device: 'cpu', threads: 1 },
      ...{ computeGradient: nothing, evaluate: nothing, dispose: () => Promise.resolve() },
    };
    let isDone = false;
    const probed = probeEngine(engine, options).finally(() => (isDone = true));
    probed.catch(() => {});
    let turns = 0;
    for (; !isDone; turns++) await new Promise((resolve) => setImmediate(resolve));
    await expect(probed).rejects.toThrow(/computes wrongly/);
    // Where the reference blocks, a turn or two for each of its six calls.
    expect(turns).toBeGreaterThan(100);
  });
});
