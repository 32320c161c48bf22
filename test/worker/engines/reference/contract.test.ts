/** The judge, judged: by values worked out by hand, and by the slope of its own loss. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelSpecSchema, planModel, type ModelPlan, type ModelSpec } from '../../../../protocol/state/model-spec.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import { uniformFloats } from '../../../../protocol/data/random.ts';
import type { Microbatch } from '../../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';
import { fillDropoutMask } from '../../../../protocol/data/dropout.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';
import { gradientBuffers, smallModels, trainedState } from '../../../helpers/models.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

// Its numbers are checked below; of the contract, what matters here is the rest.
describeEngineContract('reference', { create: createReferenceEngine, sizes: [1, 5] });

/** A model from its layers, and an engine over parameters given as one list, in layout order. */
async function tinyModel(
  input: number[],
  layers: object[],
  numClasses: number,
  values: number[],
  running: number[] = [],
  labelSmoothing?: number,
) {
  const plan = planModel(modelSpecSchema.parse({ name: 'tiny', input, numClasses, layers }));
  expect([values.length, running.length], 'parameters and buffers given').toEqual([
    plan.numParameters,
    plan.numBuffers,
  ]);
  const [parameters, buffers] = [Float32Array.from(values), Float32Array.from(running)];
  const engine = await createReferenceEngine({ plan, parameters, buffers, maxBatch: 8, threads: 1, labelSmoothing });
  const into = gradientBuffers(plan);
  return {
    ...into,
    train: (images: number[], labels: number[], keys?: number[]) =>
      engine.computeGradient({ ...batchOf(images, labels), dropoutKeys: keys && Uint32Array.from(keys) }, into),
    evaluate: (images: number[], labels: number[]) => engine.evaluate(batchOf(images, labels)),
  };
}

/** A batch of pixels, given in [0, 1]. */
function batchOf(pixels: number[], labels: number[]): Microbatch {
  const images = Uint8Array.from(pixels, (pixel) => Math.round(255 * pixel));
  return { images, labels: Uint8Array.from(labels), numSamples: labels.length };
}

function expectValues(actual: Float32Array, expected: number[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => expect(actual[i], `entry ${i}`).toBeCloseTo(value, 6));
}

const ones = (count: number) => Array<number>(count).fill(1);
const zeros = (count: number) => Array<number>(count).fill(0);
const flatten = { kind: 'flatten' };
const dense = (units: number, activation = 'none') => ({ kind: 'dense', units, activation });
const conv = (kernel: number, activation = 'none') => ({ kind: 'conv', filters: 1, kernel, activation });

describe('by hand', () => {
  it('softmax cross-entropy of equal outputs is log(classes), and its gradient p minus one at the label', async () => {
    const model = await tinyModel([1, 1, 2], [flatten, dense(4)], 4, Array<number>(12).fill(0));
    expect(await model.train([1, 0, 1, 0], [0, 2])).toEqual({
      lossSum: expect.closeTo(2 * Math.log(4), 12),
      numCorrect: 1,
      numSamples: 2,
    });
    // Summed over both samples: -3/4 + 1/4 at their labels, 1/4 + 1/4 elsewhere; the second pixel is black.
    const u = [-0.5, 0.5, -0.5, 0.5];
    expectValues(model.gradient, [...u, 0, 0, 0, 0, ...u]);
  });

  it('a dense layer is x w + b with w as [in, out], and its ReLU stops what is negative or zero', async () => {
    // z = [1 x 2, -1 x 2, 0 x 2] + [0.5, 0.5, 0] with x = (1, 1): [2.5, -1.5, 0].
    const model = await tinyModel([1, 1, 2], [flatten, dense(3, 'relu')], 3, [1, -1, 0, 1, -1, 0, 0.5, 0.5, 0]);
    const { lossSum, numCorrect } = await model.train([1, 1], [0]);
    const p0 = Math.exp(2.5) / (Math.exp(2.5) + 2);
    expect(lossSum).toBeCloseTo(-Math.log(p0), 12);
    expect(numCorrect).toBe(1);
    expectValues(model.gradient, [p0 - 1, 0, 0, p0 - 1, 0, 0, p0 - 1, 0, 0]);
  });

  it('with label smoothing the loss is that against targets of 1 - s + s/K at the label and s/K elsewhere', async () => {
    // z = (1, 2, -1) for one white pixel; s = 0.3 of three classes.
    const model = await tinyModel([1, 1, 1], [flatten, dense(3)], 3, [1, 2, -1, 0, 0, 0], [], 0.3);
    const exponentials = [1, 2, -1].map(Math.exp);
    const sum = exponentials.reduce((total, value) => total + value);
    const p = exponentials.map((value) => value / sum);
    const q = [0.8, 0.1, 0.1];
    const { lossSum, numCorrect } = await model.train([1], [0]);
    expect(lossSum).toBeCloseTo(-q.reduce((total, target, k) => total + target * Math.log(p[k]!), 0), 12);
    expect(numCorrect).toBe(0);
    const u = p.map((value, k) => value - q[k]!);
    expectValues(model.gradient, [...u, ...u]);
    // Evaluation is against the labels themselves.
    expect((await model.evaluate([1], [0])).lossSum).toBeCloseTo(-Math.log(p[0]!), 12);
  });

  it('without label smoothing an output that is infinitely small costs nothing where nothing is expected', async () => {
    const model = await tinyModel([1, 1, 1], [flatten, dense(2)], 2, [0, -Infinity, 0, 0]);
    expect((await model.train([1], [0])).lossSum).toBe(0);
    const smooth = await tinyModel([1, 1, 1], [flatten, dense(2)], 2, [0, -Infinity, 0, 0], [], 0.1);
    expect((await smooth.train([1], [0])).lossSum).toBe(Infinity);
  });

  it('outputs too large for an exponential give a finite loss', async () => {
    const model = await tinyModel([1, 1, 1], [flatten, dense(2)], 2, [5000, 1000, 0, 0]);
    expect(await model.train([1], [1])).toEqual({ lossSum: 4000, numCorrect: 0, numSamples: 1 });
    expectValues(model.gradient, [1, -1, 1, -1]);
  });

  it('of equal largest outputs the first is the answer', async () => {
    const model = await tinyModel([1, 1, 1], [flatten, dense(3)], 3, [1, 2, 2, 0, 0, 0]);
    expect((await model.train([1, 1, 1], [0, 1, 2])).numCorrect).toBe(1);
  });

  // 3 x 3: white in the middle of the first row, and in the last corner.
  const twoPixels = [0, 1, 0, 0, 0, 0, 0, 0, 1];

  it('a convolution slides its kernel over rows and columns without flipping it', async () => {
    const model = await tinyModel([1, 3, 3], [conv(2), flatten], 4, [1, 2, 3, 4, 0.25]);
    const { lossSum } = await model.evaluate(twoPixels, [0]);
    // z = [2, 1, 0, 4] + 0.25; the bias cancels in the softmax.
    expect(lossSum).toBeCloseTo(Math.log(Math.exp(2) + Math.E + 1 + Math.exp(4)) - 2, 6);
  });

  it("a filter's gradient is its windows, weighted by the gradient of its outputs", async () => {
    const model = await tinyModel([1, 3, 3], [conv(2), flatten], 4, [0, 0, 0, 0, 0]);
    await model.train(twoPixels, [0]);
    // u = [-3/4, 1/4, 1/4, 1/4]. The first pixel is seen by w[0,1] in window 0 and by w[0,0] in window 1, the last by
    // w[1,1] in window 3.
    expectValues(model.gradient, [0.25, -0.75, 0, 0.25, 0]);
  });

  it("a convolution's weights are [filters, channels], and its output is flattened filter by filter", async () => {
    const layers = [{ ...conv(1), filters: 2 }, flatten];
    const model = await tinyModel([2, 1, 2], layers, 4, [1, 2, 3, 4, 0, 0.5]);
    const { lossSum } = await model.train([1, 0, 0, 1], [1]);
    // Channel 0 is (1, 0), channel 1 is (0, 1): filter 0 gives (1, 2), filter 1 (3, 4) + 0.5.
    const exponentials = [1, 2, 3.5, 4.5].map(Math.exp);
    const sum = exponentials.reduce((total, value) => total + value);
    expect(lossSum).toBeCloseTo(Math.log(sum) - 2, 6);
    const [p0, p1, p2, p3] = exponentials.map((value) => value / sum) as [number, number, number, number];
    expectValues(model.gradient, [p0, p1 - 1, p2, p3, p0 + p1 - 1, p2 + p3]);
  });

  it('a pool takes the largest, drops the rows and columns left over, and of equal entries takes the first', async () => {
    // Two channels summed by a 1 x 1 filter, pooled in windows of 2: 3 x 5 leaves a row and a column out.
    const model = await tinyModel([2, 3, 5], [conv(1), { kind: 'maxPool', size: 2 }, flatten], 2, [1, 1, 0]);
    const first = [0, 1, 0.2, 0, 1, 0, 0, 0, 0.6, 1, 1, 1, 1, 1, 1];
    const second = [0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1];
    const { lossSum } = await model.train([...first, ...second], [1]);
    // Sums: 1 twice in window 0, first from channel one alone; 0.6 in window 1, from channel one too. u = [p0, -p0].
    const p0 = Math.E / (Math.E + Math.exp(0.6));
    expect(lossSum).toBeCloseTo(-Math.log(1 - p0), 6);
    expectValues(model.gradient, [p0 - 0.6 * p0, 0, 0]);
  });

  it('zeros around a map give "same" padding ceil(size / stride) windows, with the odd row and column behind', async () => {
    // Two rows and one column of a kernel of ones with stride 2: the windows are centred on what lies inside the map.
    const layers = [{ ...conv(2), padding: 'same', stride: 2 }, flatten];
    const model = await tinyModel([1, 3, 1], layers, 2, [1, 1, 1, 1, 0]);
    // Rows 0 and 1, then row 2 and a row of zeros: 1 and 0.
    const { lossSum } = await model.train([1, 0, 0], [0]);
    expect(lossSum).toBeCloseTo(Math.log(1 + Math.exp(-1)), 6);
  });

  it('an average pool divides the sum of a window by its size, and each entry has that share of the gradient', async () => {
    const layers = [{ kind: 'averagePool', size: 2 }, flatten];
    const norm = { kind: 'batchNorm' };
    const model = await tinyModel([1, 2, 5], [...layers, norm], 2, [1, 1, 0, 0], [0, 0, 1, 1]);
    // Means of the two windows; the fifth column is ignored.
    await model.train([1, 0, 1, 1, 1, 0, 0, 1, 1, 1], [0]);
    expectValues(model.statistics.subarray(0, 2), [0.25, 1]);
  });

  it('dropout keeps a value as its key says, divides it by 1 - rate, and changes nothing in evaluation', async () => {
    const layers = [flatten, { kind: 'dropout', rate: 0.5 }, { kind: 'batchNorm' }];
    const model = await tinyModel([1, 1, 40], layers, 40, [...ones(40), ...zeros(40)], [...zeros(40), ...ones(40)]);
    const keys = [11, 12];
    await model.train([...ones(40), ...ones(40)], [0, 1], keys);
    const masks = keys.map((key) => {
      const mask = new Uint8Array(40);
      fillDropoutMask(mask, key, 0.5, 0);
      return mask;
    });
    expect(masks[0]).not.toEqual(masks[1]);
    // The mean over both samples of 2 for what is kept.
    expectValues(
      model.statistics.subarray(0, 40),
      [...masks[0]!].map((kept, unit) => kept + masks[1]![unit]!),
    );
    const { lossSum } = await model.evaluate(ones(40), [0]);
    expect(lossSum).toBeCloseTo(Math.log(40), 6);
    await expect(model.train(ones(40), [0])).rejects.toThrow('dropout needs a key a sample: expected 1, got 0');
  });

  it('a residual block adds its input to what its layers give, and sends the gradient both ways', async () => {
    const block = { kind: 'residual', activation: 'none', layers: [dense(2)] };
    // y = x + x w + b = (1, 0) + (3, 4) + (0, 0) = (4, 4).
    const model = await tinyModel([1, 1, 2], [flatten, block], 2, [3, 4, 0, 0, 0, 0]);
    const { lossSum } = await model.train([1, 0], [0]);
    expect(lossSum).toBeCloseTo(Math.log(2), 12);
    expectValues(model.gradient, [-0.5, 0.5, 0, 0, -0.5, 0.5]);
    // With a ReLU what is negative becomes 0: (1, 0) + (-3, 4) = (-2, 4).
    const cut = await tinyModel([1, 1, 2], [flatten, { ...block, activation: 'relu' }], 2, [-3, 4, 0, 0, 0, 0]);
    expect((await cut.train([1, 0], [1])).lossSum).toBeCloseTo(Math.log(1 + Math.exp(-4)), 12);
    expect(cut.gradient[0]).toBe(0);
  });

  it('batch norm of flat samples: mean, population variance, and an output of unit variance', async () => {
    // Feature 0 is 0 and 1, feature 1 is 1 and 1.
    const model = await tinyModel([1, 1, 2], [flatten, { kind: 'batchNorm' }], 2, [2, 3, 0, 0.5], [9, 9, 9, 9]);
    const { lossSum } = await model.train([0, 1, 1, 1], [0, 0]);
    expectValues(model.statistics, [0.5, 1, 0.25, 0]);
    const n = 0.5 / Math.sqrt(0.25 + 1e-5);
    const lossOf = (z0: number): number => Math.log(1 + Math.exp(0.5 - z0));
    expect(lossSum).toBeCloseTo(lossOf(-2 * n) + lossOf(2 * n), 10);
    const [u0, u1] = [-2 * n, 2 * n].map((z0) => 1 / (1 + Math.exp(0.5 - z0)) - 1) as [number, number];
    expectValues(model.gradient, [n * (u1 - u0), 0, u0 + u1, -u0 - u1]);
  });

  it('batch norm of a feature map averages over the samples and positions of a channel', async () => {
    const layers = [{ kind: 'batchNorm' }, flatten, dense(2)];
    const model = await tinyModel([2, 1, 2], layers, 2, [1, 1, 0, 0, ...Array<number>(10).fill(0)], [0, 0, 1, 1]);
    await model.train([0, 1, 1, 1, 1, 0, 0, 1], [0, 1]);
    // Channel 0 holds 0 1 and 1 0; channel 1 holds 1 1 and 0 1.
    expectValues(model.statistics, [0.5, 0.75, 0.25, 0.1875]);
  });

  it('evaluation takes the running statistics', async () => {
    const model = await tinyModel([1, 1, 2], [flatten, { kind: 'batchNorm' }], 2, [1, 1, 0, 0], [1, 0, 4, 0.25]);
    const { lossSum } = await model.evaluate([0, 1], [0]);
    const [z0, z1] = [-1 / Math.sqrt(4 + 1e-5), 1 / Math.sqrt(0.25 + 1e-5)];
    expect(lossSum).toBeCloseTo(Math.log(Math.exp(z0) + Math.exp(z1)) - z0, 6);
  });

  it('a batch norm of one flat sample gives beta, and lets no gradient pass', async () => {
    const layers = [flatten, dense(2), { kind: 'batchNorm' }];
    const model = await tinyModel([1, 1, 1], layers, 2, [1, 2, 3, 4, 5, 6, 0.5, 0.5], [0, 0, 1, 1]);
    expect((await model.train([1], [1])).lossSum).toBeCloseTo(Math.log(2), 12);
    expectValues(model.gradient, [0, 0, 0, 0, 0, 0, 0.5, -0.5]);
  });
});

describe('by finite differences', { timeout: 60_000 }, () => {
  const layersOf = (...layers: object[]): ModelSpec =>
    modelSpecSchema.parse({ name: 'one-kind', input: [2, 6, 7], numClasses: 3, layers });

  it.each([
    ['dense', layersOf(flatten, dense(5), dense(3))],
    ['dense with ReLU', layersOf(flatten, dense(9, 'relu'), dense(3, 'relu'))],
    ['conv', layersOf(conv(2), { ...conv(3), filters: 3 }, flatten, dense(3))],
    ['conv with ReLU', layersOf({ ...conv(3, 'relu'), filters: 4 }, conv(2, 'relu'), flatten, dense(3))],
    ['maxPool', layersOf({ ...conv(2), filters: 2 }, { kind: 'maxPool', size: 2 }, conv(2), flatten, dense(3))],
    ['strided conv', layersOf({ ...conv(3), stride: 2, filters: 2 }, { ...conv(1), stride: 3 }, flatten, dense(3))],
    [
      'padded conv',
      layersOf({ ...conv(4), padding: 'same', stride: 2 }, { ...conv(3), padding: 'same' }, flatten, dense(3)),
    ],
    ['averagePool', layersOf({ ...conv(2), filters: 2 }, { kind: 'averagePool', size: 2 }, conv(2), flatten, dense(3))],
    ['globalAveragePool', layersOf({ ...conv(2), filters: 4 }, { kind: 'globalAveragePool' }, dense(3))],
    ['dropout', layersOf({ ...conv(2), filters: 2 }, { kind: 'dropout', rate: 0.4 }, flatten, dense(3))],
    [
      'residual blocks',
      layersOf(
        { ...conv(2), filters: 2 },
        { kind: 'residual', layers: [{ ...conv(3, 'relu'), filters: 2, padding: 'same' }, { kind: 'batchNorm' }] },
        flatten,
        dense(3),
        { kind: 'residual', activation: 'none', layers: [dense(3)] },
      ),
    ],
    ['batchNorm of flat samples', layersOf(flatten, dense(6), { kind: 'batchNorm' }, dense(3), { kind: 'batchNorm' })],
    ['batchNorm of maps', layersOf({ ...conv(2), filters: 3 }, { kind: 'batchNorm' }, conv(3), flatten, dense(3))],
  ])('the gradient of %s is the slope of the loss', async (_, spec) => {
    await expectGradientIsSlope(spec, 5);
  });

  it('the gradient of any small model is the slope of the loss', async () => {
    const numSamples = fc.integer({ min: 1, max: 4 });
    const isSlope = fc.asyncProperty(smallModels, numSamples, (spec, size) => expectGradientIsSlope(spec, size));
    await fc.assert(isSlope, { seed: 1, numRuns: 25 });
  });

  it('and with label smoothing the slope of the smoothed loss', async () => {
    const smoothings = fc.constantFrom(0.05, 0.1, 0.5, 0.9);
    await fc.assert(fc.asyncProperty(smallModels, fc.constant(3), smoothings, expectGradientIsSlope), {
      seed: 2,
      numRuns: 25,
    });
  });
});

/**
 * Central differences, (loss(p + h) - loss(p - h)) / 2h, at a few entries of every tensor. The loss is float64, so a
 * step of 1e-6 is exact to 1e-8, and short enough to cross no ReLU's or pool's edge on these seeds.
 */
async function expectGradientIsSlope(spec: ModelSpec, numSamples: number, labelSmoothing?: number): Promise<void> {
  const { plan, parameters, buffers } = trainedState(spec, 1);
  const options = { plan, parameters, buffers, maxBatch: 8, threads: 1, labelSmoothing };
  const engine = await createReferenceEngine(options);
  const batch = syntheticSamples(plan, numSamples, 1);
  const { gradient } = await gradientOf();
  const lossAt = async (at: number, value: number): Promise<number> => {
    parameters[at] = value;
    return (await gradientOf()).lossSum;
  };

  for (const at of entriesToTry(plan)) {
    const value = parameters[at]!;
    const [above, below] = [Math.fround(value + 1e-6), Math.fround(value - 1e-6)];
    const slope = ((await lossAt(at, above)) - (await lossAt(at, below))) / (above - below);
    parameters[at] = value;
    const scale = 1 + Math.abs(gradient[at]!);
    const name = plan.parameters.findLast(({ offset }) => offset <= at)!.name;
    expect(
      Math.abs(gradient[at]! - slope) / scale,
      `${name}: ${gradient[at]} against a slope of ${slope}`,
    ).toBeLessThan(1e-5);
  }

  async function gradientOf() {
    const into = gradientBuffers(plan);
    return { ...into, ...(await engine.computeGradient(batch, into)) };
  }
}

function entriesToTry(plan: ModelPlan): number[] {
  const random = uniformFloats(1);
  return plan.parameters.flatMap(({ offset, size }) =>
    Array.from({ length: Math.min(size, 6) }, () => offset + Math.floor(random() * size)),
  );
}

it('runs on cpu with one thread, whatever number is asked for', async () => {
  const { plan, parameters, buffers } = trainedState(MODELS.dense, 1);
  const engine = await createReferenceEngine({ plan, parameters, buffers, maxBatch: 1, threads: 8 });
  expect(engine).toMatchObject({ name: 'reference', device: 'cpu', threads: 1 });
});
