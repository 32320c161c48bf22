/** Engines in a thread: they keep the contract, and compute the bits that they compute without one. */
import { describe, expect, it } from 'vitest';
import { MODELS } from '../../../../protocol/state/models.ts';
import type { EngineOptions } from '../../../../worker/engines/engine.ts';
import { BLOCKING_ENGINES } from '../../../../worker/engines/thread/blocking-engines.ts';
import type { BlockingEngineName } from '../../../../worker/engines/thread/blocking-engines.ts';
import { createThreadedEngine } from '../../../../worker/engines/thread/threaded-engine.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';
import { bitsOf, resultsOf } from '../../../helpers/engine-results.ts';
import { trainedState } from '../../../helpers/models.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

const DEVICES = [
  ['onnx', 'cpu'],
  ['tfjs', 'wasm'],
  ['reference', 'cpu'],
] as const satisfies readonly [BlockingEngineName, string][];

// The contract compares with the reference, which need not be compared with itself.
for (const [name, device] of DEVICES.filter(([engine]) => engine !== 'reference')) {
  describeEngineContract(`${name} on ${device} in a thread`, {
    create: (options) => createThreadedEngine(name, { device, ...options }),
    sizes: [1, 17],
    numRandomModels: 5,
  });
}

describe.each(DEVICES)('%s on %s in a thread', (name, device) => {
  it('gives the same bits as without', async () => {
    const options: EngineOptions = { ...trainedState(MODELS['conv-pool'], 1), maxBatch: 40, threads: 1, device };
    const [without, within] = [await BLOCKING_ENGINES[name](options), await createThreadedEngine(name, options)];
    expect({ ...within }).toMatchObject({ name: without.name, device: without.device, threads: without.threads });
    for (const size of [40, 3, 40]) {
      const batch = syntheticSamples(options.plan, size, size);
      const expected = bitsOf(await resultsOf(without, options.plan, batch));
      expect(bitsOf(await resultsOf(within, options.plan, batch))).toEqual(expected);
    }
    await Promise.all([without.dispose(), within.dispose()]);
  });
});
