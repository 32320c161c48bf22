/** Filters that are active in no sample: what the layer above leaves out because of them may change no result. */
import { afterEach, describe, expect, it } from 'vitest';
import { MODELS } from '../../../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../../../worker/engines/engine.ts';
import { nativeAvailability } from '../../../../worker/engines/native/loader.ts';
import { createNativeEngine } from '../../../../worker/engines/native/native-engine.ts';
import { bitsOf, expectAgreement, resultsOf } from '../../../helpers/engine-results.ts';
import { trainedState } from '../../../helpers/models.ts';
import { createRememberedReference } from '../../../helpers/remembered-reference.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

const availability = nativeAvailability();
const instructionSets = availability.available ? availability.instructionSets : [];
/** Of the 16 filters of the second convolution; each has a map of PIXELS inputs of the first dense layer. */
const SILENT = [0, 5, 6, 15];
const PIXELS = 22 * 22;
const UNITS = 120;

const engines: Engine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.dispose();
});

/** `conv` with silent filters, and its tensors by name. */
function silentState() {
  const state = trainedState(MODELS.conv, 1);
  const tensor = (name: string, values = state.parameters) => {
    const { offset, size } = state.plan.parameters.find((slot) => slot.name === name)!;
    return values.subarray(offset, offset + size);
  };
  for (const filter of SILENT) tensor('conv2.bias')[filter] = -100;
  return { ...state, tensor };
}

async function make(create: (options: EngineOptions) => Promise<Engine>, options: EngineOptions): Promise<Engine> {
  const engine = await create(options);
  engines.push(engine);
  return engine;
}

describe.each(instructionSets)('silent filters, %s', (device) => {
  const setUp = async (maxBatch: number, threads = 1) => {
    const state = silentState();
    const engine = await make(createNativeEngine, { ...state, maxBatch, threads, device });
    return { ...state, engine };
  };

  it.each([5, 50, 100])('change no result of %i samples', async (numSamples) => {
    const judged = await setUp(numSamples);
    const reference = await make(createRememberedReference, { ...judged, maxBatch: numSamples, threads: 1 });
    await expectAgreement({ ...judged, reference }, numSamples);
    const { gradient } = await resultsOf(judged.engine, judged.plan, syntheticSamples(judged.plan, numSamples, 1));
    const rows = judged.tensor('dense1.weight', gradient);
    expect(rows.subarray(5 * PIXELS * UNITS, 7 * PIXELS * UNITS).every((value) => value === 0)).toBe(true);
    expect(rows.subarray(4 * PIXELS * UNITS, 5 * PIXELS * UNITS).some((value) => value !== 0)).toBe(true);
  });

  it('give the same bits for 1, 2 and 3 threads', async () => {
    const bits = [];
    for (const threads of [1, 2, 3]) {
      const { engine, plan } = await setUp(100, threads);
      bits.push(bitsOf(await resultsOf(engine, plan, syntheticSamples(plan, 100, 2))));
    }
    expect(bits[1]).toEqual(bits[0]);
    expect(bits[2]).toEqual(bits[0]);
  });

  it.each([NaN, Infinity])('do not hide a weight of %d above them', async (poison) => {
    const { engine, plan, tensor } = await setUp(100);
    tensor('dense1.weight')[5 * PIXELS * UNITS + 7] = poison;
    const { training, evaluation } = await resultsOf(engine, plan, syntheticSamples(plan, 100, 3));
    expect(training.lossSum).toBeNaN();
    expect(evaluation.lossSum).toBeNaN();
  });

  it('do not hide a gradient from above that is not finite', async () => {
    const { engine, plan, tensor } = await setUp(100);
    tensor('norm1.gamma')[3] = NaN;
    const { gradient } = await resultsOf(engine, plan, syntheticSamples(plan, 100, 4));
    // Far from the map's ends: there are rows around it that are left out together.
    const first = (5 * PIXELS + 100) * UNITS;
    const row = tensor('dense1.weight', gradient).subarray(first, first + UNITS);
    expect([...row].map(Number.isNaN)).toEqual([...tensor('dense1.bias', gradient)].map(Number.isNaN));
    expect(row[3]).toBeNaN();
  });
});
