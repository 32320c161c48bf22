/**
 * The reference engine's answers, computed once in a run of the tests: every engine's tests compare with the same ones.
 * They lie in a folder that the run makes and removes, by the hash of all that they depend on.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  Engine,
  EngineOptions,
  GradientBuffers,
  Microbatch,
  MicrobatchResult,
} from '../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';

/** The variable with the folder; without it every answer is computed. */
export const ANSWERS_VARIABLE = 'GRADSOCK_TEST_ANSWERS';

/** Answers that take less time to compute than to read: samples times parameters. */
const QUICK = 500_000;

/** The reference engine. Its answers are the same bits whether they are computed or read. */
export async function createRememberedReference(options: EngineOptions): Promise<Engine> {
  const engine = await createReferenceEngine(options);
  const { plan, parameters, buffers, labelSmoothing = 0 } = options;
  const pathOf = (kind: string, { images, labels, numSamples, dropoutKeys }: Microbatch): string | undefined => {
    const folder = process.env[ANSWERS_VARIABLE];
    if (folder === undefined || numSamples * plan.numParameters < QUICK) return undefined;
    const hash = createHash('sha256');
    hash.update(JSON.stringify([kind, plan, labelSmoothing, numSamples]));
    for (const part of [parameters, buffers]) hash.update(part);
    hash.update(images.subarray(0, numSamples * plan.inputSize)).update(labels.subarray(0, numSamples));
    if (dropoutKeys) hash.update(dropoutKeys);
    return join(folder, hash.digest('hex'));
  };
  /** Reads the vectors and the result, or computes and keeps them. */
  const remember = async (
    path: string | undefined,
    vectors: readonly Float32Array<ArrayBuffer>[],
    compute: () => Promise<MicrobatchResult>,
  ): Promise<MicrobatchResult> => {
    if (path === undefined) return compute();
    if (existsSync(path)) {
      const bytes = new Uint8Array(readFileSync(path));
      const [lossSum, numCorrect, numSamples] = new Float64Array(bytes.buffer, 0, 3) as unknown as [
        number,
        number,
        number,
      ];
      let at = 3 * Float64Array.BYTES_PER_ELEMENT;
      for (const vector of vectors) {
        const { buffer, byteOffset, byteLength } = vector;
        new Uint8Array(buffer, byteOffset, byteLength).set(bytes.subarray(at, at + byteLength));
        at += byteLength;
      }
      return { lossSum, numCorrect, numSamples };
    }
    const result = await compute();
    const head = Float64Array.of(result.lossSum, result.numCorrect, result.numSamples);
    const parts = [head, ...vectors].map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(buffer, byteOffset, byteLength),
    );
    // Another test file may be doing the same.
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, Buffer.concat(parts));
    renameSync(draft, path);
    return result;
  };
  return {
    ...engine,
    computeGradient(batch: Microbatch, into: GradientBuffers) {
      const { gradient, statistics } = into;
      return remember(pathOf('training', batch), [gradient, statistics], () => engine.computeGradient(batch, into));
    },
    evaluate(batch: Microbatch, outputs?: Float32Array<ArrayBuffer>) {
      const path = pathOf(outputs ? 'outputs' : 'evaluation', batch);
      return remember(path, outputs ? [outputs] : [], () => engine.evaluate(batch, outputs));
    },
  };
}
