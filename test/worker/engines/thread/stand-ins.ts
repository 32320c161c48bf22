/** Engines that fail, block or end their thread. Runs in the thread. */
import { parentPort } from 'node:worker_threads';
import { ConfigError, ProtocolError } from '../../../../protocol/errors.ts';
import type { Engine, EngineOptions } from '../../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';
import { serveEngines } from '../../../../worker/engines/thread/serve.ts';

const changed =
  (change: Partial<Engine>) =>
  async (options: EngineOptions): Promise<Engine> => ({ ...(await createReferenceEngine(options)), ...change });

/** Waits as a blocking library does: nothing else happens in the thread. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

serveEngines(parentPort!, {
  reference: (options) => {
    if (options.device === undefined) return createReferenceEngine(options);
    throw Object.assign(new RangeError('it is too much'), { code: 'ERR_TOO_MUCH' });
  },
  onnx: () => Promise.reject(new ConfigError('--device abacus: no such thing')),
  tfjs: changed({
    computeGradient({ numSamples }) {
      if (numSamples === 1) throw new ProtocolError('ERR_NOT_FINITE', 'a NaN');
      if (numSamples === 2) process.exit(3);
      if (numSamples === 3) setImmediate(() => { throw new Error('from nowhere'); }); // prettier-ignore
      if (numSamples === 4) fillHeap();
      if (numSamples === 5) block(300);
      return numSamples === 3 ? new Promise(() => {}) : Promise.resolve({ lossSum: 1, numCorrect: 0, numSamples });
    },
  }),
});

function fillHeap(): void {
  const all: number[][] = [];
  for (;;) all.push(Array.from({ length: 100_000 }, (_, i) => i + 0.5));
}
