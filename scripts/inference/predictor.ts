/** A model at work: images in, probabilities out, by any engine. */
import type { Labels } from '../../protocol/data/labels.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import type { Engine, EvaluationResult } from '../../worker/engines/engine.ts';
import { createEngine } from '../../worker/engines/choose-engine.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';

/** Images that are computed at once: as many as a run evaluates, so that sums are the same bits. */
export const BATCH = 256;

export interface Predictor {
  readonly engine: Engine;
  /**
   * The outputs of `numSamples` images, [numSamples, numClasses] before the softmax, and the sums against their labels.
   * The outputs are overwritten by the next call.
   */
  compute(batch: {
    images: Uint8Array<ArrayBuffer>;
    labels: Labels;
    numSamples: number;
  }): Promise<EvaluationResult & { readonly outputs: Float32Array }>;
  dispose(): Promise<void>;
}

export interface PredictorOptions {
  /** A name of the registry, or auto. */
  readonly engine: string;
  readonly device?: string | undefined;
  readonly threads: number;
}

/** Rejects with `ConfigError` when the engine cannot be had, or does not compute what it must. */
export async function createPredictor(model: ModelFile, options: PredictorOptions): Promise<Predictor> {
  const { plan, parameters, buffers } = model;
  const { device, threads } = options;
  await prepareNative();
  const { engine } = await createEngine(options.engine, {
    plan,
    parameters,
    buffers,
    maxBatch: BATCH,
    threads,
    device,
  });
  const outputs = new Float32Array(BATCH * plan.spec.numClasses);
  return {
    engine,
    async compute(batch) {
      const sums = await engine.evaluate(batch, outputs);
      return { ...sums, outputs: outputs.subarray(0, batch.numSamples * plan.spec.numClasses) };
    },
    dispose: () => engine.dispose(),
  };
}
