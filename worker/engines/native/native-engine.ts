/**
 * The native engine: our own C++ kernels, off the event loop unless they are quick. What they compute is described in
 * network.h.
 */
import { ConfigError } from '../../../protocol/errors.ts';
import { createDropoutMasks } from '../dropout.ts';
import type { Engine, EngineOptions } from '../engine.ts';
import { INSTRUCTION_SETS } from './build-output.ts';
import type { InstructionSet } from './build-output.ts';
import { encodePlan } from './encode-plan.ts';
import { loadNativeAddon } from './loader.ts';

/**
 * A gradient that takes less is computed on the event loop's own thread: to hand it to another and to be woken by that one
 * takes several tenths of a millisecond, half of what a small model's step takes. What waits on the event loop, answers
 * to pings and payloads on their way, does so no longer than this.
 */
const SHORT_MS = 10;

const NO_OUTPUTS = new Float32Array(0);

/**
 * An engine on the CPU. `device`: `cpu` (the best instruction set here), or one by name: `avx512`, `avx2`, `neon`,
 * `baseline`. All buffers of a step are made here; a step allocates nothing. Results are the same bits for any number
 * of threads, and differ between instruction sets.
 *
 * Rejects with `ConfigError` when the addon or the device cannot be had.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- what is thrown here must be a rejection
export async function createNativeEngine(options: EngineOptions): Promise<Engine> {
  const { plan, parameters, buffers, maxBatch, threads, labelSmoothing = 0 } = options;
  const addon = loadNativeAddon(instructionSetOf(options.device ?? 'cpu'));
  const handle = addon.create(
    encodePlan(plan),
    plan.inputSize,
    plan.spec.numClasses,
    maxBatch,
    threads,
    parameters,
    buffers,
    labelSmoothing,
    plan.numDropoutUnits,
  );
  const masksOf = createDropoutMasks(plan, maxBatch);
  /** Of the last gradient; the first one is not known to be short. */
  let msPerSample = Infinity;
  /** The call under way, which dispose waits for. */
  let pending: Promise<unknown> = Promise.resolve();

  return {
    name: 'native',
    device: `cpu (${addon.instructionSet})`,
    threads,

    // Async, so that an argument refused by the addon is a rejection.
    async computeGradient(batch, { gradient, statistics }) {
      const { images, labels, numSamples } = batch;
      const masks = masksOf(batch);
      const startMs = performance.now();
      const isShort = msPerSample * numSamples < SHORT_MS;
      const compute = isShort ? addon.computeGradientNow : addon.computeGradient;
      const result = compute(handle, images, labels, numSamples, gradient, statistics, masks);
      if (result instanceof Promise) pending = result;
      const settled = await result;
      msPerSample = (performance.now() - startMs) / numSamples;
      return settled;
    },

    async evaluate({ images, labels, numSamples }, outputs = NO_OUTPUTS) {
      const result = addon.evaluate(handle, images, labels, numSamples, outputs);
      pending = result;
      return await result;
    },

    async dispose() {
      addon.dispose(handle);
      await Promise.allSettled([pending]);
    },
  };
}

/** Throws `ConfigError` where {@link createNativeEngine} would: the addon or the device cannot be had. */
export function checkNativeDevice(device: string | undefined): void {
  loadNativeAddon(instructionSetOf(device ?? 'cpu'));
}

function instructionSetOf(device: string): InstructionSet | undefined {
  if (device === 'cpu') return undefined;
  const set = INSTRUCTION_SETS.find((name) => name === device);
  if (!set) throw new ConfigError(`--device ${device}: the native engine has cpu, ${INSTRUCTION_SETS.join(', ')}`);
  return set;
}
