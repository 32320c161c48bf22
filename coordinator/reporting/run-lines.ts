/** What is said of a run in lines that stay: its start, its epochs, and how it ended. */
import { countOf } from '../../protocol/counts.ts';
import type { PartsInSeconds } from './flat-parts.ts';
import { cureOf } from './cures.ts';
import type { EpochRecord, RunResult, WorkingMember } from './reporter.ts';
import { formatBytes } from './text.ts';

/** More workers than this are counted, not named. */
const MOST_NAMES = 4;

/** "local-1 (native on cpu, 1 thread), ...". */
export function workersInWords(workers: readonly WorkingMember[]): string {
  if (workers.length <= MOST_NAMES) {
    return workers
      .map(({ name, engine, device, threads }) => `${name} (${engine} on ${device}, ${countOf(threads, 'thread')})`)
      .join(', ');
  }
  const kinds = new Map<string, number>();
  for (const { engine, device, threads } of workers) {
    const kind = `${engine} on ${device}, ${countOf(threads, 'thread')}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return [...kinds].map(([kind, count]) => `${countOf(count, 'worker')} (${kind})`).join(', ');
}

/** The homework's form: `epoch 1, loss 0.5180, train acc 0.823, test acc 0.858, time 9.1 sec`. */
export function epochLine(record: EpochRecord): string {
  const { epoch, loss, trainAccuracy, testAccuracy, validationAccuracy, seconds } = record;
  const evaluated = validationAccuracy === undefined ? testAccuracy : validationAccuracy;
  const what = validationAccuracy === undefined ? 'test acc' : 'validation acc';
  const accuracy = `train acc ${trainAccuracy.toFixed(3)}, ${what} ${evaluated?.toFixed(3) ?? 'none'}`;
  return `epoch ${epoch}, loss ${loss.toFixed(4)}, ${accuracy}, time ${seconds.toFixed(1)} sec`;
}

/** Where the epoch's seconds went, as shares, and what moved. */
export function breakdownLine(record: EpochRecord): string {
  const { seconds, workers } = record;
  const parts = Object.entries(partsOf(record)).map(([name, value]: [string, number]) => {
    return `${name} ${((100 * value) / seconds).toFixed(1)} %`;
  });
  const { bytesSent, bytesReceived, sharedBytesSent = 0, sharedBytesReceived = 0 } = record;
  const sharedBytes = sharedBytesSent + sharedBytesReceived;
  const shared = sharedBytes > 0 ? `, ${formatBytes(sharedBytes)} through shared memory` : '';
  const sockets = `sent ${formatBytes(bytesSent - sharedBytesSent)}, received ${formatBytes(bytesReceived - sharedBytesReceived)}`;
  const traffic = bytesSent + bytesReceived > 0 ? `, ${sockets}${shared}` : '';
  const delay = `${record.slowestDelaySeconds.toFixed(1)} s`;
  const slowest = workers.length > 1 ? `, slowest ${record.slowestWorker} (cost ${delay})` : '';
  return `  ${parts.join(', ')}; ${Math.round(record.samplesPerSecond)} samples/s${traffic}${slowest}`;
}

const partsOf = (record: PartsInSeconds) => ({
  compute: record.computePartSeconds,
  encode: record.encodePartSeconds,
  wire: record.wirePartSeconds,
  wait: record.waitPartSeconds,
  reduce: record.reducePartSeconds,
  apply: record.applyPartSeconds,
  other: record.otherPartSeconds,
});

/** Lines on how the run ended. A failed run's lines give the error, the worker, its last lines and the cure, where known. */
export function summaryLines(result: RunResult, runDir: string | undefined): string[] {
  const { status, steps, testAccuracy, validationAccuracy, trainingSeconds, waitingSeconds, error } = result;
  const test = testAccuracy === null ? '' : `, test acc ${testAccuracy.toFixed(4)}`;
  const accuracy = typeof validationAccuracy === 'number' ? `, validation acc ${validationAccuracy.toFixed(4)}` : test;
  const waited = waitingSeconds >= 1 ? `, waited ${waitingSeconds.toFixed(1)} s` : '';
  const time = `${countOf(steps, 'step')} in ${trainingSeconds.toFixed(1)} s`;
  return [
    `${status}: ${time}${accuracy}, parameters ${result.parametersSha256.slice(0, 12)}${waited}`,
    ...(runDir === undefined ? [] : [`run directory ${runDir}`]),
    ...(error ? errorLines(error, runDir) : []),
  ];
}

function errorLines(error: NonNullable<RunResult['error']>, runDir: string | undefined): string[] {
  const { message, worker, host, step, lastLines = [] } = error;
  const who = [worker, host && `at ${host}`].filter(Boolean).join(' ');
  const where = [who && `worker ${who}`, step !== undefined && `step ${step}`].filter(Boolean).join(', ');
  const cure = cureOf(error, runDir);
  return [
    `error: ${message}`,
    ...(host === undefined ? [] : [`  first to fail: ${where}`]),
    ...(lastLines.length === 0 ? [] : ['  its last lines:', ...lastLines.map((line) => `    ${line}`)]),
    ...(cure === undefined ? [] : [`  what to do: ${cure}`]),
  ];
}
