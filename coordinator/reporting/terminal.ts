/** The terminal's reporter: one line an epoch in the homework's form, where the time went, and a live progress line. */
import { countOf } from '../../protocol/counts.ts';
import { printableLines } from '../../protocol/errors.ts';
import type { PartsInSeconds } from './flat-parts.ts';
import type { EpochRecord, Progress, Reporter, RunResult } from './reporter.ts';
import { createLiveLine, fitLine, formatBytes, formatDuration, wrapText } from './text.ts';

/** Redrawing more often than this costs time and shows no more. */
const REDRAW_MS = 100;
/** Where no line is drawn again, nothing is silent for longer than this. */
const LONGEST_SILENCE_MS = 30_000;

export interface TerminalOptions {
  readonly stream: NodeJS.WriteStream;
  /** Only failures are written. */
  readonly quiet: boolean;
}

/**
 * Writes to `stream`. On a terminal, a live line shows what the run does; into a pipe or file, a line says so whenever
 * nothing else has been written for 30 s.
 */
export function createTerminalReporter({
  stream,
  quiet,
}: TerminalOptions): Reporter & { readonly line: (text: string) => void } {
  const live = quiet ? undefined : createLiveLine(stream);
  let drawnMs = -Infinity;
  // Names and reasons come from members, some words from files.
  const write = (text: string) => stream.write(`${printableLines(text)}\n`);
  let doing = { text: 'preparing the run', sinceMs: performance.now() };
  let progress: Progress | undefined;

  /** A line that stays; the progress line makes way for it. */
  const line = (text: string) => {
    live?.clear();
    pulse?.refresh();
    if (!quiet) write(isCopied(text) ? text : wrapped(text));
  };
  const sayWhatIsDone = () => {
    const forSeconds = (performance.now() - doing.sinceMs) / 1000;
    stream.write(`${progress ? progressLine(progress) : `${doing.text}, for ${formatDuration(forSeconds)} so far`}\n`);
  };
  // It must not keep the process alive.
  const pulse = live || quiet ? undefined : setInterval(sayWhatIsDone, LONGEST_SILENCE_MS).unref();
  const wrapped = (text: string) => (stream.isTTY ? wrapText(text, stream.columns) : text);

  return {
    line,
    onStart(config, members, runDir) {
      const workers = members.map(({ name, engine, device, threads }) => {
        return `${name} (${engine} on ${device}, ${countOf(threads, 'thread')})`;
      });
      line(`training ${config.model.name} for ${countOf(config.epochs, 'epoch')} on ${workers.join(', ')}`);
      if (runDir !== undefined) line(`run directory ${runDir}`);
    },
    onPhase(text) {
      progress = undefined;
      doing = { text, sinceMs: performance.now() };
      live?.(text);
    },
    onProgress(now) {
      progress = now;
      if (!live || performance.now() - drawnMs < REDRAW_MS) return;
      drawnMs = performance.now();
      live(progressLine(now, stream.columns - 1));
    },
    onEpoch(record) {
      line(epochLine(record));
      line(breakdownLine(record));
    },
    onRefused() {
      clearInterval(pulse);
      live?.clear();
    },
    onEnd(result, runDir) {
      clearInterval(pulse);
      live?.clear();
      live?.done();
      if (!quiet || result.status === 'failed') write(summaryLines(result, runDir).join('\n'));
    },
  };
}

/** Commands and addresses stay in one piece, for people to copy. */
const isCopied = (text: string): boolean => /:\/\/|gradsock /.test(text);

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

/** Where the run stands, in one line of `columns` characters. */
function progressLine(progress: Progress, columns = Infinity): string {
  const { epoch, epochs, stepInEpoch, stepsPerEpoch, loss, trainAccuracy, samplesPerSecond, runSecondsLeft } = progress;
  const parts = [
    { text: `epoch ${epoch}/${epochs}` },
    { text: `step ${stepInEpoch}/${stepsPerEpoch}`, order: 1 },
    { text: `loss ${loss.toFixed(4)}`, order: 2 },
    { text: `train acc ${trainAccuracy.toFixed(3)}`, order: 3 },
    { text: `${Math.round(samplesPerSecond)} samples/s`, order: 4 },
    { text: `run: ${formatDuration(runSecondsLeft)} left` },
  ];
  return fitLine(parts, columns);
}

function summaryLines(result: RunResult, runDir: string | undefined): string[] {
  const { status, steps, testAccuracy, validationAccuracy, trainingSeconds, waitingSeconds, error } = result;
  const test = testAccuracy === null ? '' : `, test acc ${testAccuracy.toFixed(4)}`;
  const accuracy = typeof validationAccuracy === 'number' ? `, validation acc ${validationAccuracy.toFixed(4)}` : test;
  const waited = waitingSeconds >= 1 ? `, waited ${waitingSeconds.toFixed(1)} s for workers` : '';
  const time = `${countOf(steps, 'step')} in ${trainingSeconds.toFixed(1)} s`;
  return [
    `${status}: ${time}${accuracy}, parameters ${result.parametersSha256.slice(0, 12)}${waited}`,
    ...(runDir === undefined ? [] : [`run directory ${runDir}`]),
    ...(error ? [`error: ${error.message}`] : []),
  ];
}
