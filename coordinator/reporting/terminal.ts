/** The terminal's reporter: one line an epoch in the homework's form, where the time went, and a live block meanwhile. */
import { countOf } from '../../protocol/counts.ts';
import { printableLines } from '../../protocol/errors.ts';
import type { RunConfig } from '../run-config.ts';
import { liveBlock, progressLine, WorkerStates } from './live-block.ts';
import { createLiveDisplay } from './live-display.ts';
import type { ControlState } from './reported-event.ts';
import type { EpochRecord, EpochSoFar, Progress, Reporter } from './reporter.ts';
import { breakdownLine, epochLine, summaryLines, workersInWords } from './run-lines.ts';
import { columnsOf, formatDuration, wrapText } from './text.ts';
import { verdictOf } from './verdict.ts';

/** An epoch that is younger than this has no verdict yet: its first steps are not like the others. */
const LEAST_SECONDS = 1;

/** Where no line is drawn again, nothing is silent for longer than this. */
const PROGRESS_INTERVAL_SECONDS = 30;

/** What is told when a person pauses a run, has it go on, or has it end. */
const CONTROL_LINES: Readonly<Record<ControlState, string>> = {
  pausing: 'pausing after the step at hand',
  paused: 'paused: resume on the dashboard',
  running: 'going on',
  stopping: 'stopping after the epoch at hand',
};

export interface TerminalOptions {
  readonly stream: NodeJS.WriteStream;
  /** Only failures are written. */
  readonly quiet: boolean;
  /** Where no line is drawn again: the longest silence; 0 for any. Default: 30. */
  readonly progressIntervalSeconds?: number | undefined;
  /** Whether lines may be drawn again where the stream is a terminal. Default: true. */
  readonly isLive?: boolean;
}

/**
 * Writes to `stream`. On a terminal, a live block shows what the run does, below all lines; into a pipe or file, a line
 * says so whenever nothing else has been written for a while.
 */
export function createTerminalReporter({
  stream,
  quiet,
  progressIntervalSeconds = PROGRESS_INTERVAL_SECONDS,
  isLive = true,
}: TerminalOptions): Reporter & { readonly line: (text: string) => void } {
  // Names and reasons come from members, some words from files.
  const write = (text: string) => stream.write(`${printableLines(text)}\n`);
  const wrapped = (text: string) => (stream.isTTY ? wrapText(text, columnsOf(stream)) : text);
  const states = new WorkerStates();
  let config: RunConfig | undefined;
  /** What it does besides steps, if it does. */
  let doing: { readonly text: string; readonly sinceMs: number } | undefined = startOf('preparing the run');
  let progress: Progress | undefined;
  let progressMs = 0;
  let soFar: EpochSoFar | undefined;
  let isPaused = false;
  let last: EpochRecord | undefined;

  const view = (columns: number, rows: number) => {
    const idleSeconds = (performance.now() - progressMs) / 1000;
    // Until an epoch is old enough, the one before it is judged.
    const spent = soFar && soFar.seconds >= LEAST_SECONDS ? soFar : last;
    const verdict = spent && config ? verdictOf(spent, config) : undefined;
    const facts = { doing: doing?.text, progress, idleSeconds, soFar, states, verdict };
    return printableLines(liveBlock(facts, columns, rows));
  };
  const live = quiet || !isLive ? undefined : createLiveDisplay(stream, view);
  const sayWhatIsDone = () => {
    if (!doing && progress) return write(progressLine(progress));
    const { text, sinceMs } = doing!;
    return write(`${text}, for ${formatDuration((performance.now() - sinceMs) / 1000)} so far`);
  };
  const isPulsing = !live && !quiet && progressIntervalSeconds > 0;
  // It must not keep the process alive.
  const pulse = isPulsing ? setInterval(sayWhatIsDone, 1000 * progressIntervalSeconds).unref() : undefined;
  /** A line that stays. */
  const line = (text: string) => {
    pulse?.refresh();
    if (quiet) return;
    const say = () => write(isCopied(text) ? text : wrapped(text));
    if (live) live.above(say);
    else say();
  };
  const close = () => {
    clearInterval(pulse);
    live?.close();
  };

  return {
    line,
    onStart(runConfig, members, runDir) {
      config = runConfig;
      line(`training ${config.model.name} for ${countOf(config.epochs, 'epoch')} on ${workersInWords(members)}`);
      if (runDir !== undefined) line(`run directory ${runDir}`);
    },
    onPhase(text) {
      doing = startOf(text);
      live?.draw();
    },
    onProgress(now) {
      [doing, progress, progressMs] = [undefined, now, performance.now()];
      if (!live?.isDue) return;
      soFar = now.soFar?.();
      live.draw();
    },
    onEvent(event) {
      if (event.kind === 'worker') states.add(event);
      if (event.kind !== 'control') return;
      const text = CONTROL_LINES[event.state];
      line(text);
      // Until the next step the run does nothing else.
      if (event.state === 'paused' || isPaused) doing = startOf(text);
      isPaused = event.state === 'paused';
      live?.draw();
    },
    onEpoch(record) {
      last = record;
      line(epochLine(record));
      line(breakdownLine(record));
    },
    onRefused: close,
    onEnd(result, runDir) {
      close();
      if (quiet && result.status !== 'failed') return;
      const judged =
        result.status !== 'failed' && last && last.workers.length > 1 ? verdictOf(last, config!) : undefined;
      for (const text of summaryLines(result, runDir)) write(isCopied(text) ? text : wrapped(text));
      if (judged !== undefined) write(wrapped(`in the last epoch, ${judged}`));
    },
  };
}

const startOf = (text: string) => ({ text, sinceMs: performance.now() });

/** Commands and addresses stay in one piece, for people to copy. */
const isCopied = (text: string): boolean => /:\/\/|gradsock /.test(text);
