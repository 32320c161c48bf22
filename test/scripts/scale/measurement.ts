/** A measurement as `scale.json` has it, with made-up figures. */
import { measuredEpochs } from '../../../scripts/scale/record.ts';
import type { ScaleRecord } from '../../../scripts/scale/record.ts';

export const MEGABYTE = 1e6;

interface RunFigures {
  readonly numWorkers: number;
  readonly globalBatch: number;
  readonly stepMs: number;
  readonly allReduce?: 'star' | 'ring';
  readonly sum?: string;
}

/** Of four steps in two epochs each, of which the first took three times as long. */
export function runOf({ numWorkers, globalBatch, stepMs, allReduce = 'star', sum = 'ab'.repeat(32) }: RunFigures) {
  const epoch = (number: number, factor: number) => ({
    epoch: number,
    ...{ seconds: (2 * factor * stepMs) / 1000, samples: 2 * globalBatch, steps: 2 },
    ...{ computePartSeconds: stepMs / 1000, encodePartSeconds: 0, wirePartSeconds: stepMs / 2000 },
    ...{ waitPartSeconds: 0, reducePartSeconds: 0, applyPartSeconds: 0.002, otherPartSeconds: 0 },
    ...{ bytesSent: 2 * MEGABYTE * numWorkers, bytesReceived: 2 * MEGABYTE * numWorkers },
    ...{ sharedBytesSent: 0, sharedBytesReceived: 0 },
    workers: [{ name: 'one' }],
  });
  const epochs = measuredEpochs([epoch(1, 3), epoch(2, 1)]);
  return { numWorkers, globalBatch, repetition: 1, allReduce, parametersSha256: sum, epochs };
}

/** Workers 1, 2 and 4, with batches of 256. */
export function recordOf(change: Partial<ScaleRecord> = {}): ScaleRecord {
  return {
    ...{ format: 1, gradsock: '0.1.0', node: 'v20.20.2', cpu: '2 x test', startedAt: '2026-11-30T12:00:00.000Z' },
    ...{ command: 'scale --model dense', numTrainSamples: 60_000, payloadBytes: MEGABYTE, buckets: 1 },
    plan: {
      ...{ model: 'dense', data: 'fashion-mnist', scalings: ['strong', 'weak'], workers: [1, 2, 4] },
      ...{ globalBatch: 256, microbatches: 4, steps: 4, epochs: 2, repeat: 1, allReduce: 'auto', wire: 'f32' },
    },
    place: { description: 'this machine', sharedCores: 2, link: null, delaysPeers: true },
    runs: [
      runOf({ numWorkers: 1, globalBatch: 256, stepMs: 20 }),
      runOf({ numWorkers: 2, globalBatch: 256, stepMs: 15 }),
      runOf({ numWorkers: 4, globalBatch: 256, stepMs: 20 }),
      runOf({ numWorkers: 2, globalBatch: 512, stepMs: 25 }),
      runOf({ numWorkers: 4, globalBatch: 1024, stepMs: 50 }),
    ],
    ...change,
  };
}
