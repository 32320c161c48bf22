/** Records of steps and epochs, as a run makes them, with figures that tell them apart. */
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import type { StepRecord } from '../../coordinator/reporting/step-record.ts';

export function stepRecord(step: number, { stepsPerEpoch = 50 } = {}): StepRecord {
  const parts = { compute: 4, encode: 0.5, wire: 1 + (step % 3), wait: 0.5, reduce: 0.25, apply: 0.75, other: 1 };
  const sum = Object.values(parts).reduce((a, b) => a + b, 0);
  return {
    epoch: Math.ceil(step / stepsPerEpoch),
    step,
    stepInEpoch: ((step - 1) % stepsPerEpoch) + 1,
    steps: 1,
    endedAt: new Date(1.7e12 + 10 * step).toISOString(),
    learningRate: 0.1 / step,
    loss: 2 / Math.sqrt(step),
    trainAccuracy: 1 - 1 / (1 + step),
    samples: 256,
    numWorkers: 2,
    stepMs: sum,
    computePartMs: parts.compute,
    encodePartMs: parts.encode,
    wirePartMs: parts.wire,
    waitPartMs: parts.wait,
    reducePartMs: parts.reduce,
    applyPartMs: parts.apply,
    otherPartMs: parts.other,
    bytesSent: 1000 + step,
    bytesReceived: 2000 + step,
    sharedBytesSent: 0,
    sharedBytesReceived: 0,
  };
}

export function epochRecord(epoch: number, changes: Partial<EpochRecord> = {}): EpochRecord {
  return {
    epoch,
    endedAt: new Date(1.7e12 + 1000 * epoch).toISOString(),
    learningRate: 0.1,
    loss: 1 / epoch,
    trainAccuracy: 1 - 0.3 / epoch,
    testLoss: 1.1 / epoch,
    testAccuracy: 1 - 0.32 / epoch,
    seconds: 10,
    evaluationSeconds: 0.5,
    samples: 12_800,
    samplesPerSecond: 1280,
    steps: 50,
    computeSeconds: 6,
    communicationSeconds: 3,
    otherSeconds: 1,
    computePartSeconds: 5,
    encodePartSeconds: 0.5,
    wirePartSeconds: 2,
    waitPartSeconds: 0.5,
    reducePartSeconds: 0.5,
    applyPartSeconds: 1,
    otherPartSeconds: 0.5,
    bytesSent: 1e6,
    bytesReceived: 2e6,
    bytesSentPerStep: 1e4,
    bytesReceivedPerStep: 2e4,
    wireRatio: 1,
    slowestWorker: 'local-2',
    slowestDelaySeconds: 0.4,
    numWorkers: 2,
    workers: [1, 2].map((number) => ({
      id: `w${number}`,
      name: `local-${number}`,
      engine: 'native',
      device: 'cpu avx2',
      threads: 1,
      workerSamples: 6400,
      workerComputeSeconds: 5,
      workerCommunicationSeconds: 3,
      workerWaitSeconds: 1,
    })),
    ...changes,
  };
}

export function runResult(changes: Partial<RunResult> = {}): RunResult {
  return {
    status: 'completed',
    steps: 100,
    epochs: 2,
    testAccuracy: 0.84,
    seconds: 21,
    trainingSeconds: 20,
    waitingSeconds: 1,
    parametersSha256: 'ab'.repeat(32),
    ...changes,
  };
}
