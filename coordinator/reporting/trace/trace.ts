/**
 * Trace: a subscriber that writes where the time of a run's steps went, as a file that Perfetto shows on one time line.
 *
 * Steps are kept until a window of them is full, then the workers' clocks are fitted over it and its events are written. So it
 * takes no more memory in a long run than in a short one, and the steps of a window do not wait for the disk.
 */
import { basename } from 'node:path';
import { describeSystemError } from '../../../protocol/system-errors.ts';
import type { Reporter } from '../reporter.ts';
import { createStepDrawing } from './draw-step.ts';
import type { Convert, StepDrawing } from './draw-step.ts';
import type { TracedMoments } from './step-tracer.ts';
import { createTraceEvents } from './trace-events.ts';
import type { TraceEvents } from './trace-events.ts';
import { createTraceFile } from './trace-file.ts';
import type { TraceFile } from './trace-file.ts';
import { createWorkerClock } from './worker-clock.ts';
import type { WorkerClock } from './worker-clock.ts';

/** Of a window: steps, and messages of workers, each of up to 40 events. */
const MOST_WINDOW_STEPS = 200;
const MOST_WINDOW_MESSAGES = 10_000;
/** Of the events, before compression, which takes them to a tenth: Perfetto takes some seconds to open as much. */
const MOST_BYTES = 250_000_000;

const NOTE =
  "Times are the coordinator's. A worker's times were converted by the estimated offset between the two clocks, which are " +
  'never compared anywhere else: each may be off by plusMinusMs of its clock, and is moved, where it must be, to between the ' +
  'moment at which its work was sent and that at which its answer had arrived.';

export interface TraceOptions {
  /** This program's. */
  readonly version: string;
  readonly warn: (line: string) => void;
}

/**
 * Writes `trace.json.gz` to the run directory, of the steps that it is told of. A file that cannot be written ends no run: `warn`
 * is told once, and the rest is not written. It is also told where there was nothing to write.
 */
export function createTrace(options: TraceOptions): Reporter {
  const writer = new TraceWriter(options);
  return {
    onStart: (_config, _members, runDir) => writer.begin(runDir),
    onTrace: (moments) => writer.add(moments),
    onEpoch: () => writer.write(),
    onEnd: () => writer.end(),
    onRefused: () => writer.end(),
  };
}

class TraceWriter {
  readonly #options: TraceOptions;
  #runDir: string | undefined;
  #output: { readonly events: TraceEvents; readonly drawing: StepDrawing; readonly zeroMs: number } | undefined;
  #file: TraceFile | undefined;
  #window: TracedMoments[] = [];
  #numMessages = 0;
  readonly #clocks = new Map<string, { readonly name: string; readonly clock: WorkerClock }>();
  /** The first and the last that are written. */
  #steps: readonly [first: number, last: number] | undefined;
  /** Why nothing more is written. */
  #stopped: 'failed' | 'full' | undefined;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  begin(runDir: string | undefined): void {
    this.#runDir = runDir;
  }

  add(moments: TracedMoments): void {
    if (this.#stopped !== undefined) return;
    this.#window.push(moments);
    this.#numMessages += moments.parts.reduce((sum, { messages }) => sum + messages.length, 0);
    const isLast = moments.kind === 'step' && !moments.isTraced;
    const isFull = this.#window.length >= MOST_WINDOW_STEPS || this.#numMessages >= MOST_WINDOW_MESSAGES;
    if (isLast || isFull) this.write();
  }

  end(): void {
    this.write();
    this.#file?.close();
    this.#file = undefined;
    const isEmpty = this.#runDir !== undefined && this.#steps === undefined && this.#stopped === undefined;
    this.#runDir = undefined;
    if (isEmpty) this.#options.warn('warning: no trace was written: the run took none of the steps to trace');
  }

  /** Writes the window, and begins another. */
  write(): void {
    const window = this.#window;
    const [first] = window;
    if (!first || this.#runDir === undefined || this.#stopped !== undefined) return;
    this.#window = [];
    this.#numMessages = 0;
    const fromMs = performance.now();
    const { events, drawing } = (this.#output ??= openOutput(first));
    const conversions = this.#readClocks(window);
    for (const moments of window) drawing.draw(moments, (worker) => conversions.get(worker)!);
    this.#steps = [this.#steps?.[0] ?? first.step, window.findLast(isOfTraced)?.step ?? this.#steps?.[1] ?? first.step];
    this.#append(events.take(), this.#runDir);
    // What this takes from a step is shown with the next window.
    events.span(events.processOf('coordinator'), 'writing the trace', 'write', [fromMs, performance.now()]);
  }

  #append(lines: readonly string[], runDir: string): void {
    const { warn } = this.#options;
    try {
      this.#file ??= createTraceFile(runDir);
      this.#file.append(lines, this.#otherData(runDir));
      if (this.#file.numBytes < MOST_BYTES) return;
      this.#stopped = 'full';
      this.#file.append([], this.#otherData(runDir));
      warn(`warning: the trace ends with step ${this.#steps![1]}: it has ${MOST_BYTES / 1e6} MB of events`);
    } catch (error) {
      this.#stopped = 'failed';
      const reason = describeSystemError(this.#file?.path ?? runDir, 'written', error);
      warn(`warning: the run goes on without its trace: ${reason}`);
    }
  }

  /** Each worker's conversion of the window's times. */
  #readClocks(window: readonly TracedMoments[]): ReadonlyMap<string, Convert> {
    const parts = window.flatMap((moments) => moments.parts);
    for (const { id, name, isHere, askedMs, messages } of parts) {
      const { clock } = this.#clocks.get(id) ?? { clock: createWorkerClock(isHere) };
      this.#clocks.set(id, { name, clock });
      for (const { atMs, moments } of messages) {
        clock.received({ workerMs: moments.receivedMs, coordinatorMs: askedMs });
        clock.sent({ workerMs: moments.sentMs, coordinatorMs: atMs });
      }
    }
    const ids = new Set(parts.map(({ id }) => id));
    return new Map([...ids].map((id) => [id, this.#clocks.get(id)!.clock.settle()]));
  }

  #otherData(runDir: string): object {
    const [firstStep, lastStep] = this.#steps!;
    const all = [...this.#clocks];
    const clocks = all.map(([id, { name, clock }]) => {
      const isUnique = all.filter(([, other]) => other.name === name).length === 1;
      return [isUnique ? name : `${name} (${id})`, clock.summary] as const;
    });
    return {
      run: basename(runDir),
      version: this.#options.version,
      startedAt: new Date(performance.timeOrigin + this.#output!.zeroMs).toISOString(),
      ...{ firstStep, lastStep },
      ...(this.#stopped === 'full' && { ends: `with step ${lastStep}, by its size` }),
      clocks: Object.fromEntries(clocks),
      note: NOTE,
    };
  }
}

/** Whether it is told for its own sake, not for the end of the step before. */
const isOfTraced = (moments: TracedMoments): boolean => moments.kind === 'proof' || moments.isTraced;

function openOutput(first: TracedMoments) {
  const zeroMs = first.kind === 'step' ? first.opening[0] : first.span[0];
  const events = createTraceEvents(zeroMs);
  return { events, drawing: createStepDrawing(events), zeroMs };
}
