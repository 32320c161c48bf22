/**
 * What every engine must do, as a suite to run over one. The reference engine is the judge; a mistake of its own would
 * go unseen here, and is what `test/worker/engines/reference/contract.test.ts` looks for.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { MODEL_NAMES, MODELS } from '../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../worker/engines/engine.ts';
import { worstError } from '../../worker/engines/probe.ts';
import { bitsOf, expectAgreement, LIMIT, ODD_LIMIT, resultsOf, sha256 } from '../helpers/engine-results.ts';
import { gradientBuffers, ODD_MODELS, smallModels, trainedState } from '../helpers/models.ts';
import { createRememberedReference } from '../helpers/remembered-reference.ts';
import { syntheticSamples } from '../helpers/samples.ts';
import { countOfCases } from '../helpers/tier.ts';

const MAX_BATCH = 256;
/** The odd models on which smoothed labels are tried: numbers of classes from 2 to 300, with and without a norm at the end. */
const SMOOTHED = ['norm-over-channels', 'norm-first', 'whole-map-kernel', 'many-classes'];
const DROPOUT_MODEL = ODD_MODELS.find(({ name }) => name === 'dropped-out')!;

export interface EngineContract {
  readonly create: (options: EngineOptions) => Promise<Engine>;
  /** Batch sizes to try on the named models. */
  readonly sizes?: readonly number[];
  /** How many random models to try. */
  readonly numRandomModels?: number;
  /** What is tried from call to call, which a slow engine takes seconds for. Default: `conv-pool-matched`. */
  readonly modelOfCalls?: ModelSpec;
}

/** Registers the suite for one engine. */
export function describeEngineContract(
  name: string,
  {
    create,
    sizes = [1, 7, 64, 256],
    numRandomModels = countOfCases(25, 400),
    modelOfCalls = MODELS['conv-pool-matched'],
  }: EngineContract,
): void {
  const setUp = async (spec: ModelSpec, maxBatch = MAX_BATCH, labelSmoothing?: number) => {
    const state = trainedState(spec, 1);
    const options = { ...state, maxBatch, threads: 1, labelSmoothing };
    return { ...state, engine: await create(options), reference: await createRememberedReference(options) };
  };

  describe(`${name}: the engine contract`, () => {
    describe.each(MODEL_NAMES)('on %s', (model) => {
      let judged: Awaited<ReturnType<typeof setUp>>;
      beforeAll(async () => {
        judged = await setUp(MODELS[model]);
      });
      afterAll(() => judged.engine.dispose());

      // With one sample, a batch norm's variance is 0 and no gradient passes it: all but the last norm's beta is zero,
      // and the limit holds for what little rounding leaves, on the scale of beta's gradient.
      it.each(sizes)('loss, answers, gradient and statistics of %i samples equal the reference', async (size) => {
        await expectAgreement(judged, size);
      });
    });

    it.each(ODD_MODELS.map((spec) => [spec.name, spec] as const))('computes the odd model %s', async (_, spec) => {
      const judged = await setUp(spec, 33);
      for (const size of [33, 2, 17, 1]) await expectAgreement(judged, size, ODD_LIMIT);
      await judged.engine.dispose();
    });

    it('takes labels of one byte and of two, whatever the number of classes', async () => {
      const manyClasses = ODD_MODELS.find(({ numClasses }) => numClasses > 256)!;
      for (const spec of [manyClasses, ODD_MODELS[0]!]) {
        const { engine, plan } = await setUp(spec, 12);
        const batch = syntheticSamples(plan, 12, 1);
        // Some are above 255 where there are such classes; those that fit into a byte are given as bytes, and as two.
        const low = batch.labels.map((label) => label % 256);
        const expected = bitsOf(await resultsOf(engine, plan, { ...batch, labels: low }));
        for (const labels of [Uint8Array.from(low), Uint16Array.from(low)]) {
          expect(bitsOf(await resultsOf(engine, plan, { ...batch, labels }))).toEqual(expected);
        }
        await engine.dispose();
      }
    });

    it('a gradient through dropout depends on the keys and is refused without them; an evaluation needs none', async () => {
      const { engine, plan, reference } = await setUp(DROPOUT_MODEL, 12);
      const { dropoutKeys, ...batch } = syntheticSamples(plan, 12, 1);
      const into = gradientBuffers(plan);
      await expect(engine.computeGradient(batch, into)).rejects.toThrow('dropout needs a key a sample');
      await engine.computeGradient({ ...batch, dropoutKeys }, into);
      const first = into.gradient.slice();
      await engine.computeGradient({ ...batch, dropoutKeys: dropoutKeys!.map((key) => key + 100) }, into);
      expect(worstError(plan.parameters, into.gradient, first).error).toBeGreaterThan(0.01);
      await engine.computeGradient({ ...batch, dropoutKeys }, into);
      expect(sha256(into.gradient)).toBe(sha256(first));
      const expected = await reference.evaluate(batch);
      expect((await engine.evaluate(batch)).lossSum).toBeCloseTo(expected.lossSum, 3);
      await engine.dispose();
    });

    it('computes any small model at any batch size up to its largest', async () => {
      const sizesUpTo = fc.integer({ min: 1, max: 40 }).chain((maxBatch) =>
        fc.record({
          maxBatch: fc.constant(maxBatch),
          numSamples: fc.oneof(fc.constant(maxBatch), fc.integer({ min: 1, max: maxBatch })),
        }),
      );
      await fc.assert(
        fc.asyncProperty(smallModels, sizesUpTo, async (spec, { maxBatch, numSamples }) => {
          const judged = await setUp(spec, maxBatch);
          await expectAgreement(judged, numSamples, ODD_LIMIT);
          await judged.engine.dispose();
        }),
        { seed: 1, numRuns: numRandomModels },
      );
    });

    describe('from call to call', () => {
      let judged: Awaited<ReturnType<typeof setUp>>;
      beforeAll(async () => {
        judged = await setUp(modelOfCalls);
      });
      afterAll(() => judged.engine.dispose());

      it('a batch gives the same bits whatever was computed before it', async () => {
        const { engine, plan } = judged;
        const first = new Map<number, ReturnType<typeof bitsOf>>();
        // A slow engine is tried on small batches, here too.
        const large = Math.min(64, Math.max(...sizes));
        const half = Math.floor(large / 2) + 1;
        for (const size of [5, large, 1, large, half, 5, 2, half, 1]) {
          const bits = bitsOf(await resultsOf(engine, plan, syntheticSamples(plan, size, size)));
          expect(bits, `${size} samples`).toEqual(first.get(size) ?? bits);
          first.set(size, bits);
        }
      });

      it('an evaluation whose outputs are not asked for has the same sums', async () => {
        const { engine, plan } = judged;
        const batch = syntheticSamples(plan, 9, 9);
        const outputs = new Float32Array(9 * plan.spec.numClasses + 3).fill(7);
        const withOutputs = await engine.evaluate(batch, outputs);
        expect(await engine.evaluate(batch)).toEqual(withOutputs);
        expect([...outputs.subarray(-3)]).toEqual([7, 7, 7]);
      });

      it('a second engine gives the same bits', async () => {
        const { engine, plan, parameters, buffers } = judged;
        const batch = syntheticSamples(plan, 19, 3);
        const second = await create({ plan, parameters, buffers, maxBatch: 19, threads: 1 });
        expect(bitsOf(await resultsOf(second, plan, batch))).toEqual(bitsOf(await resultsOf(engine, plan, batch)));
        await second.dispose();
      });

      it('disposing of one engine leaves another at work', async () => {
        const { engine, plan, parameters, buffers } = judged;
        const batch = syntheticSamples(plan, 3, 4);
        const before = bitsOf(await resultsOf(engine, plan, batch));
        const other = await create({ plan, parameters, buffers, maxBatch: 8, threads: 1 });
        await other.computeGradient(batch, gradientBuffers(plan));
        await other.dispose();
        expect(bitsOf(await resultsOf(engine, plan, batch))).toEqual(before);
      });

      it('gradients and losses are sums: a batch twice over gives twice as much, and the same statistics', async () => {
        const { engine, plan } = judged;
        const once = syntheticSamples(plan, 12, 5);
        const twice = {
          images: new Uint8Array([...once.images, ...once.images]),
          labels: new Uint8Array([...once.labels, ...once.labels]),
          numSamples: 24,
        };
        const single = await resultsOf(engine, plan, once);
        const double = await resultsOf(engine, plan, twice);
        const expected = single.gradient.map((value) => 2 * value);
        expect(worstError(plan.parameters, double.gradient, expected).error).toBeLessThan(LIMIT);
        expect(worstError(plan.buffers, double.statistics, single.statistics).error).toBeLessThan(LIMIT);
        expect(double.training.lossSum / single.training.lossSum).toBeCloseTo(2, 4);
        expect(double.training.numCorrect).toBe(2 * single.training.numCorrect);
        expect(double.evaluation.lossSum / single.evaluation.lossSum).toBeCloseTo(2, 4);
      });

      it('parameters and running statistics changed in place are seen by the next call', async () => {
        const { engine, plan, parameters, buffers } = judged;
        const kept = { parameters: parameters.slice(), buffers: buffers.slice() };
        const before = await resultsOf(engine, plan, syntheticSamples(plan, 16, 1));
        // Every tensor changes, and by another factor: a stale one shows.
        plan.parameters.forEach(({ offset, size }, i) => {
          for (let at = offset; at < offset + size; at++) parameters[at]! *= 0.8 + 0.03 * i;
        });
        buffers.forEach((value, i) => (buffers[i] = value * 1.5));
        await expectAgreement(judged, 16);
        expect((await resultsOf(engine, plan, syntheticSamples(plan, 16, 1))).evaluation).not.toEqual(
          before.evaluation,
        );
        parameters.set(kept.parameters);
        buffers.set(kept.buffers);
      });

      it('training does not depend on the running statistics', async () => {
        const { engine, plan, buffers } = judged;
        const batch = syntheticSamples(plan, 9, 6);
        const kept = buffers.slice();
        const before = await resultsOf(engine, plan, batch);
        buffers.fill(3);
        const after = await resultsOf(engine, plan, batch);
        buffers.set(kept);
        expect(bitsOf(after).gradient).toBe(bitsOf(before).gradient);
        expect(after.evaluation.lossSum).not.toBe(before.evaluation.lossSum);
      });

      it('samples after numSamples are ignored', async () => {
        const { engine, plan } = judged;
        const long = syntheticSamples(plan, 20, 7);
        const short = {
          images: long.images.slice(0, 6 * plan.inputSize),
          labels: long.labels.slice(0, 6),
          numSamples: 6,
        };
        const results = await resultsOf(engine, plan, { ...long, numSamples: 6 });
        expect(bitsOf(results)).toEqual(bitsOf(await resultsOf(engine, plan, short)));
        expect(results.training.numSamples).toBe(6);
      });

      it('writes the vectors that it was given, all of them, and nothing else', async () => {
        const { engine, plan, parameters, buffers } = judged;
        const batch = syntheticSamples(plan, 10, 8);
        const expected = await resultsOf(engine, plan, batch);
        const untouched = gradientBuffers(plan);
        const inputs = [parameters, buffers, batch.images, batch.labels];
        const before = inputs.map(sha256);

        // 8 bytes in: where a frame's payload may begin.
        const guard = 2;
        const guarded = (size: number) => {
          const all = new Float32Array(guard + size + guard).fill(12345);
          return { all, inside: all.subarray(guard, guard + size) };
        };
        const gradient = guarded(plan.numParameters);
        const statistics = guarded(plan.numBuffers);
        await engine.computeGradient(batch, untouched);
        untouched.gradient.fill(7);
        untouched.statistics.fill(7);
        await engine.computeGradient(batch, { gradient: gradient.inside, statistics: statistics.inside });

        expect(sha256(gradient.inside)).toBe(sha256(expected.gradient));
        expect(sha256(statistics.inside)).toBe(sha256(expected.statistics));
        for (const { all } of [gradient, statistics]) {
          expect([...all.subarray(0, guard), ...all.subarray(-guard)]).toEqual([12345, 12345, 12345, 12345]);
        }
        expect(untouched.gradient.every((value) => value === 7)).toBe(true);
        expect(untouched.statistics.every((value) => value === 7)).toBe(true);
        expect(inputs.map(sha256)).toEqual(before);
      });

      it('vectors may be paired anew from call to call', async () => {
        const { engine, plan } = judged;
        const batch = syntheticSamples(plan, 4, 9);
        const [a, b] = [gradientBuffers(plan), gradientBuffers(plan)];
        await engine.computeGradient(batch, a);
        await engine.computeGradient(batch, { gradient: a.gradient, statistics: b.statistics });
        expect(b.statistics).toStrictEqual(a.statistics);
      });
    });

    describe('with label smoothing', () => {
      const cases: [string, ModelSpec, number, number][] = [
        ['dense', MODELS.dense, 33, LIMIT],
        ['conv-pool', MODELS['conv-pool'], 17, LIMIT],
        // What lies below the loss does not know of it: the kinds of layers are not tried again.
        ...ODD_MODELS.filter(({ name }) => SMOOTHED.includes(name)).map((spec): [string, ModelSpec, number, number] => [
          spec.name,
          spec,
          19,
          ODD_LIMIT,
        ]),
      ];

      it.each(cases)('loss and gradient equal the reference on %s', async (_, spec, size, limit) => {
        for (const smoothing of [0.1, 0.75]) {
          const judged = await setUp(spec, size, smoothing);
          for (const numSamples of [size, 1]) await expectAgreement(judged, numSamples, limit);
          await judged.engine.dispose();
        }
      });

      it('training is against smoothed labels, answers, statistics and evaluation are as without', async () => {
        const [plain, smooth] = [await setUp(MODELS['conv-pool']), await setUp(MODELS['conv-pool'], MAX_BATCH, 0.2)];
        const batch = syntheticSamples(plain.plan, 21, 2);
        const expected = await resultsOf(plain.engine, plain.plan, batch);
        const actual = await resultsOf(smooth.engine, smooth.plan, batch);
        expect(actual.evaluation).toEqual(expected.evaluation);
        expect(sha256(actual.statistics)).toBe(sha256(expected.statistics));
        expect(actual.training.numCorrect).toBe(expected.training.numCorrect);
        expect(Math.abs(actual.training.lossSum - expected.training.lossSum)).toBeGreaterThan(1);
        expect(worstError(plain.plan.parameters, actual.gradient, expected.gradient).error).toBeGreaterThan(0.05);
        await Promise.all([plain.engine.dispose(), smooth.engine.dispose()]);
      });

      it('of 0 gives the bits of none', async () => {
        const [none, zero] = [await setUp(modelOfCalls), await setUp(modelOfCalls, MAX_BATCH, 0)];
        const batch = syntheticSamples(none.plan, 18, 3);
        const expected = bitsOf(await resultsOf(none.engine, none.plan, batch));
        expect(bitsOf(await resultsOf(zero.engine, zero.plan, batch))).toEqual(expected);
        await Promise.all([none.engine.dispose(), zero.engine.dispose()]);
      });
    });

    describe('at edges and ties', () => {
      const fill = ({ plan, parameters }: Awaited<ReturnType<typeof setUp>>, slot: string, value: number) => {
        const { offset, size } = plan.parameters.find(({ name }) => name === slot)!;
        parameters.fill(value, offset, offset + size);
        return (values: Float32Array) => values.subarray(offset, offset + size);
      };

      it('of equal entries in a pool, the first takes the gradient', async () => {
        // All samples are alike, and so are a feature's values: a batch norm would divide their rounding by nearly nothing.
        const judged = await setUp(withoutNorms(MODELS['conv-pool']), 8);
        // Every output of the first convolution is its bias; which pixels lie under the one taken shows in its weights.
        fill(judged, 'conv1.weight', 0);
        fill(judged, 'conv1.bias', 0.5);
        await expectAgreement(judged, 8, ODD_LIMIT);
        await judged.engine.dispose();
      });

      it.each(['conv1', 'dense1'])('a ReLU at exactly 0 passes no gradient: %s', async (layer) => {
        const judged = await setUp(MODELS['conv-pool'], 8);
        const weight = fill(judged, `${layer}.weight`, 0);
        const bias = fill(judged, `${layer}.bias`, 0);
        const { gradient } = await resultsOf(judged.engine, judged.plan, syntheticSamples(judged.plan, 8, 1));
        expect([...weight(gradient), ...bias(gradient)].every((value) => value === 0)).toBe(true);
        await judged.engine.dispose();
      });

      it('of equal largest outputs, the first is the answer', async () => {
        const judged = await setUp(MODELS.dense, 32);
        fill(judged, 'norm3.gamma', 0);
        fill(judged, 'norm3.beta', 1);
        const batch = syntheticSamples(judged.plan, 32, 1);
        const { training, evaluation } = await resultsOf(judged.engine, judged.plan, batch);
        const numFirst = batch.labels.filter((label) => label === 0).length;
        expect([training.numCorrect, evaluation.numCorrect]).toEqual([numFirst, numFirst]);
        expect(training.lossSum).toBeCloseTo(32 * Math.log(10), 3);
        await judged.engine.dispose();
      });
    });

    it('refuses a device that it does not have, and names it', async () => {
      const { plan, parameters, buffers } = trainedState(MODELS.dense, 1);
      const options = { plan, parameters, buffers, maxBatch: 1, threads: 1, device: 'abacus' };
      await expect(create(options)).rejects.toThrow(/--device abacus/);
    });
  });
}

function withoutNorms(spec: ModelSpec): ModelSpec {
  return { ...spec, layers: spec.layers.filter(({ kind }) => kind !== 'batchNorm') };
}
