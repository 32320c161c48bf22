/**
 * The core's matrix-multiply peak: the best rate at which a library multiplied large float32 matrices on one thread of
 * it, in this run. It is taken again at every model, and the best counts: load and heat only lower it.
 */
import { forwardFlops } from './flops.ts';
import { startOurs, startPyTorch } from './launch.ts';
import type { Core, PyTorch } from './launch.ts';
import { matrixProductPlan } from './matrix-product.ts';
import { time, warmUp } from '../common/pairs.ts';
import type { Timed } from '../common/pairs.ts';
import { MATRIX_SIZE } from '../../survey/settings.ts';

/** Measurements of each library at a time. */
const ATTEMPTS = 2;

export interface Peak {
  readonly gflops: number;
  /** "PyTorch 2.1.0", "ONNX Runtime" */
  readonly library: string;
}

export interface PeakMeter {
  /** Measures again; the best so far. */
  measure(): Promise<Peak>;
  stop(): Promise<void>;
}

export async function createPeakMeter(pytorch: PyTorch | undefined, core: Core): Promise<PeakMeter> {
  const job = { task: 'matrix-product', size: MATRIX_SIZE } as const;
  const libraries: (Timed & { readonly flops: number })[] = [];
  const onnx = await warmUp(await startOurs('ONNX Runtime', { task: 'matrix-product' }, core));
  libraries.push({ ...onnx, flops: forwardFlops(matrixProductPlan(), MATRIX_SIZE) });
  if (pytorch) {
    libraries.push({ ...(await warmUp(await startPyTorch(pytorch, job, core))), flops: 2 * MATRIX_SIZE ** 3 });
  }

  let best: Peak = { gflops: 0, library: 'none' };
  return {
    async measure() {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        for (const library of libraries) {
          const { milliseconds } = await time(library);
          const gflops = library.flops / milliseconds / 1e6;
          if (gflops > best.gflops) best = { gflops, library: library.contender.description };
        }
      }
      return best;
    },
    async stop() {
      await Promise.all(libraries.map(({ contender }) => contender.stop()));
    },
  };
}
