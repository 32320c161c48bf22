import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, ProtocolError } from '../../../../protocol/errors.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import { isOutOfMemory } from '../../../../worker/engines/out-of-memory.ts';
import { createEngineThread } from '../../../../worker/engines/thread/engine-thread.ts';
import type { EngineThread } from '../../../../worker/engines/thread/engine-thread.ts';
import { createThreadedEngine } from '../../../../worker/engines/thread/threaded-engine.ts';
import { gradientBuffers, trainedState } from '../../../helpers/models.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

const options = { ...trainedState(MODELS.dense, 1), maxBatch: 8, threads: 1 };
const { plan } = options;
const batchOf = (numSamples: number) => syntheticSamples(plan, numSamples, 1);

describe("an engine's thread", () => {
  let thread: EngineThread;
  beforeEach(() => {
    thread = createEngineThread('stand-in', new URL('stand-in-thread.mjs', import.meta.url), { maxHeapMb: 32 });
  });
  afterEach(() => thread.end());

  it('leaves the event loop free while the engine blocks', async () => {
    const engine = await createThreadedEngine('tfjs', options, thread);
    let isDone = false;
    const computed = engine.computeGradient(batchOf(5), gradientBuffers(plan)).then(() => (isDone = true));
    let turns = 0;
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    await computed;
    expect(turns).toBeGreaterThan(10);
  });

  it('hands on errors with their kind and code', async () => {
    await expect(createThreadedEngine('onnx', options, thread)).rejects.toThrow(
      new ConfigError('--device abacus: no such thing'),
    );
    const tooMuch = await createThreadedEngine('reference', { ...options, device: 'x' }, thread).catch(
      (e: unknown) => e,
    );
    expect(tooMuch).toMatchObject({ name: 'RangeError', message: 'it is too much', code: 'ERR_TOO_MUCH' });
    const engine = await createThreadedEngine('tfjs', options, thread);
    const failure = await engine.computeGradient(batchOf(1), gradientBuffers(plan)).catch((e: unknown) => e);
    expect(failure).toBeInstanceOf(ProtocolError);
    expect(failure).toMatchObject({ code: 'ERR_NOT_FINITE', message: 'a NaN' });
    // An error ends a call, not the engine.
    await expect(engine.computeGradient(batchOf(7), gradientBuffers(plan))).resolves.toMatchObject({ lossSum: 1 });
  });

  it.each([
    [2, 'a library ends it', /the thread of the engine stand-in ended with code 3/],
    [3, 'an error is caught by nobody', /^from nowhere$/],
  ])(
    'that ends (%i: %s) fails its calls with the reason, and is started again for another engine',
    async (size, _, why) => {
      const engine = await createThreadedEngine('tfjs', options, thread);
      await expect(engine.computeGradient(batchOf(size), gradientBuffers(plan))).rejects.toThrow(why);
      await expect(engine.evaluate(batchOf(1))).rejects.toThrow(why);
      await engine.dispose();
      const next = await createThreadedEngine('reference', options, thread);
      await expect(next.evaluate(batchOf(1))).resolves.toMatchObject({ numSamples: 1 });
    },
  );

  it('whose heap is full says that it is out of memory, and the process goes on', async () => {
    const engine = await createThreadedEngine('tfjs', options, thread);
    const failure = await engine.computeGradient(batchOf(4), gradientBuffers(plan)).catch((e: unknown) => e);
    expect(failure).toMatchObject({ code: 'ERR_WORKER_OUT_OF_MEMORY' });
    expect(isOutOfMemory(failure)).toBe(true);
  });

  it('refuses a call before the last one has ended', async () => {
    const engine = await createThreadedEngine('reference', options, thread);
    const first = engine.evaluate(batchOf(2));
    await expect(engine.evaluate(batchOf(2))).rejects.toThrow(/^internal: a call of the engine reference before/);
    await expect(first).resolves.toMatchObject({ numSamples: 2 });
  });
});
