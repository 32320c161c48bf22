/** The terminal's reporter: one line an epoch in the homework's form, where the time went, and a live progress line. */
import { createLogUpdate } from 'log-update';
import type { EpochRecord, Progress, Reporter, RunResult } from './reporter.ts';
import { countOf } from '../../protocol/counts.ts';

/** Redrawing more often than this costs time and shows no more. */
const REDRAW_MS = 100;

export interface TerminalOptions {
  readonly stream: NodeJS.WriteStream;
  /** Only failures are written. */
  readonly quiet: boolean;
}

/** Writes to `stream`; the progress line only where that is a terminal, and never into a pipe or file. */
export function createTerminalReporter({
  stream,
  quiet,
}: TerminalOptions): Reporter & { readonly line: (text: string) => void } {
  const live = stream.isTTY && !quiet ? createLogUpdate(stream) : undefined;
  let drawnMs = -Infinity;

  /** A line that stays; the progress line makes way for it. */
  const line = (text: string) => {
    live?.clear();
    if (!quiet) stream.write(`${text}\n`);
  };

  return {
    line,
    onStart(config, members, runDir) {
      const workers = members.map(({ name, engine, device, threads }) => {
        return `${name} (${engine} on ${device}, ${countOf(threads, 'thread')})`;
      });
      line(`training ${config.model.name} for ${countOf(config.epochs, 'epoch')} on ${workers.join(', ')}`);
      line(`run directory ${runDir}`);
    },
    onProgress(progress) {
      if (!live || performance.now() - drawnMs < REDRAW_MS) return;
      drawnMs = performance.now();
      live(progressLine(progress));
    },
    onEpoch(record) {
      line(epochLine(record));
      line(breakdownLine(record));
    },
    onEnd(result, runDir) {
      live?.clear();
      const summary = summaryLine(result, runDir);
      if (!quiet || result.status === 'failed') stream.write(`${summary}\n`);
    },
  };
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
  const { breakdown, seconds, workers } = record;
  const parts = Object.entries(breakdown).map(([name, value]: [string, number]) => {
    return `${name.replace('Seconds', '')} ${((100 * value) / seconds).toFixed(1)} %`;
  });
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const traffic =
    record.bytesSent + record.bytesReceived > 0
      ? `, sent ${megabytes(record.bytesSent)}, received ${megabytes(record.bytesReceived)}`
      : '';
  const delay = `${record.slowestDelaySeconds.toFixed(1)} s`;
  const slowest = workers.length > 1 ? `, slowest ${record.slowestWorker} (cost ${delay})` : '';
  return `  ${parts.join(', ')}; ${Math.round(record.samplesPerSecond)} samples/s${traffic}${slowest}`;
}

function progressLine(progress: Progress): string {
  const { epoch, epochs, stepInEpoch, stepsPerEpoch, loss, trainAccuracy, samplesPerSecond, secondsLeft } = progress;
  const position = `epoch ${epoch}/${epochs}, step ${stepInEpoch}/${stepsPerEpoch}`;
  const figures = `loss ${loss.toFixed(4)}, train acc ${trainAccuracy.toFixed(3)}`;
  return `${position}, ${figures}, ${Math.round(samplesPerSecond)} samples/s, ${secondsLeft.toFixed(0)} s left`;
}

function summaryLine(result: RunResult, runDir: string): string {
  const { status, steps, testAccuracy, validationAccuracy, seconds, parametersSha256, error } = result;
  const test = testAccuracy === null ? '' : `, test acc ${testAccuracy.toFixed(4)}`;
  const accuracy = typeof validationAccuracy === 'number' ? `, validation acc ${validationAccuracy.toFixed(4)}` : test;
  const summary = `${status}: ${countOf(steps, 'step')} in ${seconds.toFixed(1)} s${accuracy}, parameters ${parametersSha256.slice(0, 12)}`;
  const failure = error ? `\nerror: ${error.message}` : '';
  return `${summary}\nrun directory ${runDir}${failure}`;
}
