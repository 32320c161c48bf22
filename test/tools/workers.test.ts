import { expect, it } from 'vitest';
import { runCrowd } from '../../scripts/bench/workers/crowd-run.ts';
import type { CrowdOptions } from '../../scripts/bench/workers/crowd-run.ts';

const NUM_WORKERS = 60;

const run = (options: Pick<CrowdOptions, 'steps' | 'hasDeaths'>) => {
  const { signal } = new AbortController();
  const sizes = { numWorkers: NUM_WORKERS, model: 'conv-pool', stepsPerEpoch: 10, samplesPerWorker: 2 };
  return runCrowd({ ...sizes, ...options, allReduce: 'star', nodeFlags: [], signal, log: () => {} });
};

it('a tenth of 60 workers is killed and started again, and the parameters are those of a run without', async () => {
  const quiet = await run({ steps: 24, hasDeaths: false });
  expect(quiet).toMatchObject({ status: 'completed', numLost: 0 });
  expect(quiet.step.wallMs).toBeGreaterThan(0);
  const killed = await run({ steps: 24, hasDeaths: true });
  expect(killed).toMatchObject({ status: 'completed', numLost: NUM_WORKERS / 10 });
  expect(killed.parametersSha256).toBe(quiet.parametersSha256);
});
