import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  initialBuffers,
  initialParameters,
  modelSpecSchema,
  planModel,
  slotView,
} from '../../../protocol/state/model-spec.ts';
import type { LayerSpec } from '../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../protocol/state/models.ts';

describe('the models', () => {
  test.each([
    ['dense', 105_642],
    ['conv', 941_878],
    ['conv-pool', 60_598],
    ['conv-matched', 106_293],
    ['conv-pool-matched', 105_648],
  ] as const)('%s has %d parameters', (name, numParameters) => {
    expect(planModel(MODELS[name]).numParameters).toBe(numParameters);
  });

  test.each(['conv-matched', 'conv-pool-matched'] as const)("%s is within 1 %% of dense's", (name) => {
    expect(Math.abs(planModel(MODELS[name]).numParameters / 105_642 - 1)).toBeLessThan(0.01);
  });

  test('name and shape their tensors as the file format promises', () => {
    const plan = planModel(MODELS['conv-pool']);
    expect(plan.parameters.map(({ name, shape }) => `${name} ${shape.join('x')}`)).toEqual([
      'conv1.weight 6x1x5x5',
      'conv1.bias 6',
      'conv2.weight 16x6x3x3',
      'conv2.bias 16',
      'dense1.weight 400x120',
      'dense1.bias 120',
      'norm1.gamma 120',
      'norm1.beta 120',
      'dense2.weight 120x84',
      'dense2.bias 84',
      'norm2.gamma 84',
      'norm2.beta 84',
      'dense3.weight 84x10',
      'dense3.bias 10',
      'norm3.gamma 10',
      'norm3.beta 10',
    ]);
    expect(plan.buffers.map(({ name }) => name)).toEqual([
      'norm1.mean',
      'norm1.variance',
      'norm2.mean',
      'norm2.variance',
      'norm3.mean',
      'norm3.variance',
    ]);
  });

  test.each(Object.values(MODELS))('$name lays its tensors out without gaps', (spec) => {
    const plan = planModel(spec);
    for (const [slots, total] of [
      [plan.parameters, plan.numParameters],
      [plan.buffers, plan.numBuffers],
    ] as const) {
      let offset = 0;
      for (const slot of slots) {
        expect(slot.offset).toBe(offset);
        offset += slot.size;
      }
      expect(offset).toBe(total);
    }
  });

  test.each(Object.values(MODELS))('$name is a sound ModelSpec, and survives JSON', (spec) => {
    expect(modelSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
  });
});

describe('shapes', () => {
  const convOf = (input: [number, number, number], conv: object) => {
    const layers = [{ kind: 'conv', filters: 2, ...conv }, { kind: 'globalAveragePool' }];
    return planModel(modelSpecSchema.parse({ name: 'm', input, numClasses: 2, layers })).layers[0]!;
  };
  const zeros = { top: 0, left: 0, bottom: 0, right: 0 };

  test.each([
    [{ kernel: 3 }, [2, 6, 5], zeros],
    [{ kernel: 3, stride: 2 }, [2, 3, 3], zeros],
    [{ kernel: 3, padding: 'same' }, [2, 8, 7], { top: 1, left: 1, bottom: 1, right: 1 }],
    // An even number of zeros less than the kernel needs: the last row and column have one more.
    [{ kernel: 4, padding: 'same' }, [2, 8, 7], { top: 1, left: 1, bottom: 2, right: 2 }],
    [{ kernel: 3, padding: 'same', stride: 2 }, [2, 4, 4], { top: 0, left: 1, bottom: 1, right: 1 }],
    // A stride beyond the kernel leaves nothing to pad.
    [{ kernel: 1, padding: 'same', stride: 3 }, [2, 3, 3], zeros],
  ])('a convolution %j on 8 x 7 gives %j, padded by %j', (conv, outputShape, padding) => {
    expect(convOf([3, 8, 7], conv)).toMatchObject({ outputShape, padding });
  });

  test("a residual block's layers count on, and its fork and join keep the shape", () => {
    const spec = modelSpecSchema.parse(JSON.parse(readFileSync('docs/examples/cifar10.json', 'utf8')));
    const plan = planModel(spec);
    expect(plan.numParameters, 'as docs/guide/your-data.md says').toBe(153_562);
    expect(plan.layers.map(({ kind }) => kind).join(' ')).toBe(
      'conv batchNorm conv batchNorm maxPool fork conv batchNorm join conv batchNorm maxPool fork conv batchNorm join ' +
        'conv batchNorm maxPool averagePool flatten dropout dense',
    );
    expect(plan.parameters.filter(({ name }) => name.endsWith('.weight')).map(({ name }) => name)).toEqual([
      ...[1, 2, 3, 4, 5, 6].map((n) => `conv${n}.weight`),
      'dense1.weight',
    ]);
    expect(plan.numDropoutUnits).toBe(96);
  });
});

describe('initial values', () => {
  const plan = planModel(MODELS.conv);
  const values = initialParameters(plan, 7);
  const slot = (name: string) =>
    slotView(
      values,
      plan.parameters.find((candidate) => candidate.name === name)!,
    );

  test('are the same bits for the same seed, on every machine', () => {
    const sha256 = createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex');
    expect(sha256).toBe(GOLDEN_SHA256);
    expect(initialParameters(plan, 8)).not.toEqual(values);
  });

  test.each([
    ['conv1.weight', 25 + 6 * 25],
    ['conv2.weight', 6 * 9 + 16 * 9],
    ['dense1.weight', 7744 + 120],
  ])('%s is uniform within sqrt(6 / %d)', (name, fans) => {
    const bound = Math.sqrt(6 / fans);
    const weights = slot(name);
    const largest = weights.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    expect(largest).toBeLessThanOrEqual(Math.fround(bound));
    expect(largest).toBeGreaterThan(0.95 * bound);
    const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
    const meanSquare = weights.reduce((a, b) => a + b * b, 0) / weights.length;
    expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * weights.length));
    expect(meanSquare).toBeGreaterThan((bound ** 2 / 3) * 0.7);
    expect(meanSquare).toBeLessThan((bound ** 2 / 3) * 1.3);
  });

  test('of biases and beta are 0, of gamma 1, of running means 0, of running variances 1', () => {
    for (const name of ['conv1.bias', 'dense3.bias', 'norm2.beta']) expect(new Set(slot(name))).toEqual(new Set([0]));
    expect(new Set(slot('norm1.gamma'))).toEqual(new Set([1]));
    const buffers = initialBuffers(plan);
    expect([...buffers.slice(0, 121)]).toEqual([...Array.from({ length: 120 }, () => 0), 1]);
  });
});

describe('a spec that does not fit is refused:', () => {
  const planOf =
    (...layers: LayerSpec[]) =>
    () =>
      planModel({ name: 'm', input: [1, 28, 28], numClasses: 10, layers });
  const dense: LayerSpec = { kind: 'dense', units: 10, activation: 'none' };
  const flatten: LayerSpec = { kind: 'flatten' };

  test('a dense layer on a feature map', () => {
    expect(planOf(dense)).toThrow(
      'model m: layer 1 (dense) needs a flat sample (put a flatten layer before it), got [1, 28, 28]',
    );
  });
  test('a residual block that changes the shape', () => {
    const inner: LayerSpec = { kind: 'dense', units: 5, activation: 'relu' };
    expect(planOf(flatten, { kind: 'residual', layers: [inner], activation: 'relu' }, dense)).toThrow(
      'model m: layer 2 (residual) needs layers that give [784], the shape of its input, got [5]',
    );
  });
  test('a layer of a residual block, by its place in both', () => {
    expect(
      planOf({ kind: 'residual', layers: [flatten, flatten, { kind: 'maxPool', size: 2 }], activation: 'none' }),
    ).toThrow('model m: layer 1.3 (maxPool) needs a feature map');
  });
  test('a convolution on a flat sample', () => {
    expect(planOf(flatten, { kind: 'conv', filters: 1, kernel: 3, activation: 'relu' })).toThrow(
      'layer 2 (conv) needs a feature map',
    );
  });
  test('a kernel larger than the map', () => {
    expect(planOf({ kind: 'conv', filters: 1, kernel: 29, activation: 'relu' })).toThrow(
      'needs a map of at least 29x29',
    );
  });
  test('a pool larger than the map', () => {
    expect(planOf({ kind: 'maxPool', size: 29 })).toThrow('needs a map of at least 29x29');
  });
  test('another number of outputs than classes', () => {
    expect(planOf(flatten, { ...dense, units: 9 })).toThrow(
      'the last layer must give [10], one output a class, got [9]',
    );
  });
  test('a field that no layer has', () => {
    const spec = { ...MODELS.dense, layers: [{ kind: 'dense', units: 10, dropout: 0.5 }] };
    expect(modelSpecSchema.safeParse(spec).success).toBe(false);
  });
});

const GOLDEN_SHA256 = 'cbe537bc37f12e2256b4d14b03fa9e78b1f4fd2fc9f464fa213ea83f4e510159';
